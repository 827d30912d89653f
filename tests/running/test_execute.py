import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up import draw_eye
from torch import Tensor

from running.bench import Bench, own_metric, raising
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import explain
from xaibench.metrics.score import Score
from xaibench.record.maps import as_stored
from xaibench.record.store import Store
from xaibench.registry import explainer
from xaibench.running.events import Event, Step
from xaibench.scorer import Scorer, target

METRICS = ("auroc-vessels", "srg[fill=mean]", "passes", "seconds", "peak-mb")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(Store(tmp_path / "run"), METRICS)
    bench.model.register_forward_hook(lambda *_: PASSES.append(1))
    return bench


CALLS: list[str] = []  # not among what a function is made with, which is a part of its identity
BROKEN: set[str] = set()
PASSES: list[int] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> None:
    CALLS.clear()
    BROKEN.clear()


def counted(value: Callable[[Tensor], Any] = lambda image: 1 - image[1]) -> Callable[..., Any]:
    def mine(scorer: Scorer, image: Tensor) -> Any:
        CALLS.append("map")
        return value(image)

    return mine


def test_each_cell_is_kept_whole(bench: Bench) -> None:
    assert bench(counted(), "vessels-oracle") == 0
    assert [(e.done, e.total, e.cell) for e in bench.events] == [
        *((1, 4, "mine on 0"), (2, 4, "vessels-oracle on 0"), (3, 4, "mine on 1"), (4, 4, "vessels-oracle on 1"))
    ]
    assert bench.statuses() == ["ok"] * 4
    for (spec, case_id), record in bench.records().items():
        case = bench.cases.load(case_id)
        assert record.status == "ok" and record.reason == "" and record.case_digest == case.digest
        assert [s.metric for s in record.scores] == sorted(METRICS)
        assert all(s.status == "ok" and s.low <= s.value <= s.high for s in record.scores if s.value is not None)
        kept = bench.store.load_map(record.map_key)
        assert kept is not None
        expected = case.vessels.float() if spec == "vessels-oracle" else 1 - case.image[1]
        np.testing.assert_array_equal(kept, as_stored(expected.numpy()))
        assert record.control == (spec == "vessels-oracle") and record.passes == 0
        assert record.seconds > 0 and record.peak_mb is not None
    oracle = bench.scores("vessels-oracle")
    assert oracle["auroc-vessels"].value == 1 and oracle["passes"].value == 0
    for path in bench.store.root.rglob("cells/*/*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)


def test_a_second_time_nothing_is_computed(bench: Bench) -> None:
    method = counted()
    bench(method, "prediction")
    before, maps, passes = bench.content(), len(CALLS), len(PASSES)
    assert bench(method, "prediction") == 0
    assert bench.statuses() == ["kept"] * 4
    assert len(PASSES) == passes > 0 and len(CALLS) == maps and bench.content() == before


def test_a_run_that_was_broken_off_goes_on_where_it_was(bench: Bench) -> None:
    method = counted()

    def stop(event: Event) -> None:
        if event.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(method, "random", report=stop)
    assert len(bench.records()) == 2
    assert bench(method, "random") == 0
    assert bench.statuses() == ["kept", "kept", "ok", "ok"] and len(CALLS) == 2


def test_force_computes_all_again(bench: Bench) -> None:
    method = counted()
    bench(method)
    before = bench.content()
    bench(method, force=True)
    assert len(CALLS) == 4 and bench.statuses() == ["ok", "ok"] and bench.content() == before


def test_a_new_metric_computes_no_map_again(bench: Bench) -> None:
    method = counted()
    bench(method, metrics=["auroc-vessels"])
    bench(method, metrics=["srg[fill=blur]"])
    assert len(CALLS) == 2 and bench.statuses() == ["ok", "ok"]
    assert list(bench.scores("mine")) == ["auroc-vessels", "srg[fill=blur]"]
    together = bench.beside("together")
    together(method, metrics=["auroc-vessels", "srg[fill=blur]"])
    assert together.content() == bench.content()


def test_the_order_of_cells_and_methods_does_not_matter(bench: Bench) -> None:
    bench("random", "green-contrast", "prediction")
    other = bench.beside("other")
    other("prediction", "random", "green-contrast", cases=bench.cases[::-1])
    assert other.content() == bench.content()
    alone = bench.beside("alone")
    for method in ("green-contrast", "prediction", "random"):
        for i in "10":
            alone(method, cases=replace(bench.cases, ids=(i,)))
    assert alone.content() == bench.content()


def test_a_run_gives_the_map_that_explain_gives(bench: Bench) -> None:
    bench("random", setting={"seed": 7})
    case, model = bench.cases[1], bench.model
    scorer = Scorer(model, target("vessels", model, case))
    expected = explain(scorer, case.image, method="random", seed=7).numpy()
    kept = bench.store.load_map(bench.records()["random", "1"].map_key)
    np.testing.assert_array_equal(kept, as_stored(expected))


def failing_on_the_first(image: Tensor) -> Tensor:
    if torch.equal(image, draw_eye().image):
        raise ZeroDivisionError("over\nhere")
    return image[1]


def test_a_method_that_fails_fails_alone(bench: Bench) -> None:
    assert bench(counted(failing_on_the_first), "random") == 1
    assert bench.statuses() == ["failed", "ok", "ok", "ok"]
    event = bench.events[0]
    assert event.reason == "ZeroDivisionError: over" and "failing_on_the_first" in event.trace
    record = bench.records()["mine", "0"]
    assert (record.status, record.reason, record.scores) == ("failed", "ZeroDivisionError: over", [])
    assert bench.store.load_map(record.map_key) is None
    assert bench.records()["mine", "1"].status == "ok"


def test_what_failed_is_computed_again_and_what_was_skipped_is_not(bench: Bench) -> None:
    @explainer("moody", family="cam")
    def moody(scorer: Scorer, image: Tensor) -> Tensor:
        CALLS.append("moody")
        if BROKEN:
            raise OSError("no space left")
        return image[1]

    @explainer("shy", family="cam")
    def shy(scorer: Scorer, image: Tensor) -> Tensor:
        CALLS.append("shy")
        raise Skipped("not for white boxes")

    BROKEN.add("moody")
    assert bench(moody, shy) == 2
    assert bench.statuses() == ["failed", "skipped"] * 2
    assert bench.events[1].reason == bench.records()["shy", "0"].reason == "not for white boxes"
    BROKEN.clear()
    assert bench(moody, shy) == 0
    assert bench.statuses() == ["ok", "kept"] * 2
    assert sorted(CALLS) == ["moody"] * 4 + ["shy"] * 2
    assert bench.records()["moody", "0"].reason == ""


def test_fail_fast_ends_with_the_first_failure(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError):
        bench(counted(failing_on_the_first), "random", fail_fast=True)
    assert bench.events == [] and bench.records() == {}


def test_a_metric_that_is_skipped_costs_its_own_score_only(bench: Bench) -> None:
    assert bench("random", metrics=[own_metric("odd", raising(Skipped("no vessel here"))), "auroc-vessels"]) == 0
    odd, other = (bench.scores("random")[name] for name in ("odd", "auroc-vessels"))
    assert (odd.status, odd.reason, odd.value) == ("skipped", "no vessel here", None)
    assert other.status == "ok" and bench.statuses() == ["ok"] * 2


def test_a_score_that_failed_is_computed_again(bench: Bench) -> None:
    def compute(*_: Any) -> Score:
        CALLS.append("score")
        if BROKEN:
            raise ValueError
        return Score(0.5, ((0.0, 1.0), (np.float32(1), np.nan)))  # type: ignore[arg-type]

    odd, method = own_metric("odd", compute), counted()
    BROKEN.add("odd")
    assert bench(method, metrics=[odd]) == 2
    BROKEN.clear()
    assert bench(method, metrics=[odd]) == 0
    assert CALLS.count("map") == 2 and CALLS.count("score") == 4
    (score,) = bench.scores("mine").values()
    assert score.value == 0.5 and score.curve is not None and score.curve["x"] == [0, 1]


def test_a_failed_score_that_was_not_asked_for_is_no_failure(bench: Bench) -> None:
    assert bench("random", metrics=[own_metric("odd", raising(ValueError("no\nsuch luck")))]) == 2
    assert bench("random", metrics=["auroc-vessels"]) == 0
    assert bench.statuses() == ["ok", "ok"]


def test_metrics_cannot_spoil_each_others_map(bench: Bench) -> None:
    def greedy(attribution: np.ndarray, *_: Any) -> Score:
        attribution *= -1
        return Score(0.0)

    bench("vessels-oracle", metrics=[own_metric("a-greedy", greedy), "auroc-vessels"])
    assert bench.scores("vessels-oracle")["auroc-vessels"].value == 1


def test_whoever_watches_is_told_each_part_and_pass(bench: Bench) -> None:
    steps: list[Step] = []
    bench("occlusion[patch=8,stride=8]", watch=steps.append)
    assert list(dict.fromkeys(s.cell for s in steps)) == [f"occlusion[patch=8,stride=8] on {i}" for i in "01"]
    record = bench.records()["occlusion[patch=8,stride=8]", "0"]
    of_first = [s for s in steps if s.cell.endswith("on 0")]
    assert list(dict.fromkeys(s.part for s in of_first)) == ["map", *METRICS]
    counts = {part: [s.passes for s in of_first if s.part == part] for part in ("map", "srg[fill=mean]", "passes")}
    assert counts["map"][0] == 0 and counts["map"] == sorted(counts["map"])
    assert counts["map"][-1] == record.passes > 5
    assert counts["srg[fill=mean]"][-1] > 5 and counts["passes"] == [0]


def test_an_empty_target_is_skipped_for_all_methods(bench: Bench) -> None:
    assert bench("random", "prediction", setting={"target": "false-positives"}) == 0
    assert bench.statuses() == ["skipped"] * 4
    record = bench.records()["random", "0"]
    assert record.status == "skipped" and "'false-positives' is empty" in record.reason and record.scores == []
    passes = len(PASSES)
    bench("random", "prediction", setting={"target": "false-positives"})
    assert bench.statuses() == ["kept"] * 4 and len(PASSES) == passes > 0
    assert {e.reason for e in bench.events} == {record.reason}


def test_the_users_mistake_ends_the_run(bench: Bench) -> None:
    with pytest.raises(UserError, match=r"^gradcam\[layer=nowhere\] on 0: .* has no layer 'nowhere'"):
        bench("random", "gradcam[layer=nowhere]")
    with pytest.raises(UserError, match=r"^srg\[fill=glue\] on 0: There is no fill called 'glue'"):
        bench("random", metrics=["srg[fill=glue]"])


def test_what_is_refused_on_a_later_image_only_has_failed_there(bench: Bench) -> None:
    def choosy(image: Tensor) -> Tensor:
        if len(CALLS) == 2:
            raise UserError("The picture has no bright spot.", "Leave it out.")
        return image[1]

    assert bench(counted(choosy), "random") == 1
    first, later = (bench.records()["mine", eye] for eye in ("0", "1"))
    assert (first.status, later.status) == ("ok", "failed")
    assert later.reason == "The picture has no bright spot. Leave it out."


def test_another_image_of_the_same_name_is_refused(bench: Bench) -> None:
    bench("random")
    other = replace(bench.cases, load=lambda i: draw_eye(image_seed=7, id=i))
    with pytest.raises(UserError, match=r"holds scores of another image 0 of"):
        bench("random", cases=other)


def test_a_map_that_is_gone_is_made_again(bench: Bench) -> None:
    bench("random", metrics=["auroc-vessels"])
    for path in bench.store.root.glob("maps/*/*.npz"):
        path.unlink()
    assert bench("random", metrics=["auroc-vessels"]) == 0  # nothing is missing
    assert not list(bench.store.root.glob("maps/*/*.npz"))
    assert bench("random", metrics=["auroc-vessels", "mass-vessels"]) == 0
    assert list(bench.store.root.glob("maps/*/*.npz"))
    for record in bench.store.records():  # what was scored before is kept
        assert {s.metric for s in record.scores if s.status == "ok"} == {"auroc-vessels", "mass-vessels"}


def test_what_is_read_off_further_maps_needs_none_of_the_image(bench: Bench) -> None:
    assert bench("saliency", metrics=["max-sensitivity[draws=1]"]) == 0
    assert not list(bench.store.root.glob("maps/*/*.npz"))
    assert all(r.status == "ok" and r.seconds == 0 and len(r.scores) == 1 for r in bench.store.records())
    assert bench("saliency", metrics=["max-sensitivity[draws=1]", "auroc-vessels"]) == 0
    assert all(r.seconds > 0 and len(r.scores) == 2 for r in bench.store.records())


def test_passes_are_those_of_the_map(bench: Bench) -> None:
    def many(scorer: Scorer, image: Tensor) -> Tensor:
        scorer.probability(torch.stack([image] * 5))
        scorer(image[None])
        return image[1]

    bench("random", many, "prediction")
    assert {spec: r.passes for (spec, case), r in bench.records().items() if case == "0"} == {
        **{"random": 0, "many": 6, "prediction": 1}
    }
    assert bench.scores("many")["passes"].value == 6


def test_a_network_that_cannot_take_the_image_is_the_users_error(bench: Bench) -> None:
    bench.model = torch.nn.Conv2d(1, 1, 3, padding=1).eval()
    with pytest.raises(UserError, match=r"cannot take an image of shape \(1, 3, "):
        bench("random")
    assert not list(bench.store.root.glob("cells/*"))


def test_a_cell_that_takes_too_long_has_failed_and_the_next_ones_go_on(bench: Bench) -> None:
    def hangs(scorer: Scorer, image: Tensor) -> Tensor:
        CALLS.append("map")
        while len(CALLS) < 3:
            time.sleep(1)
        return 1 - image[1]

    assert bench(hangs, "vessels-oracle", timeout=2) == 2
    assert bench.statuses() == ["failed", "ok"] * 2
    record = bench.records()["hangs", "0"]
    assert record.status == "failed" and record.reason == "it took longer than 2 s (--timeout)" and not record.scores
    CALLS.append("let it pass")
    assert bench(hangs, "vessels-oracle", timeout=60) == 0  # what has failed is computed again
    assert bench.statuses() == ["ok", "kept"] * 2
    CALLS.clear()
    with pytest.raises(TimeoutError, match="longer than"):
        bench(hangs, timeout=0.2, force=True, fail_fast=True)
