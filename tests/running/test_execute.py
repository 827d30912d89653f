from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up import GreenFilter, draw_eye
from torch import Tensor

from xaibench.data.case import Case
from xaibench.data.cases import Cases
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import explain
from xaibench.metrics.score import Score
from xaibench.record.maps import as_stored
from xaibench.record.schema import Record
from xaibench.record.store import Store
from xaibench.registry import Spec, explainer, metric, parse
from xaibench.running.execute import execute
from xaibench.running.options import RunOptions
from xaibench.running.plan import Setting
from xaibench.running.progress import Event, Listener, Step
from xaibench.running.resolve import Run
from xaibench.scorer import Scorer, target

METRICS = ("auroc-vessels", "srg[fill=mean]", "passes", "seconds", "peak-mb")


class Counting(GreenFilter):
    """A white box that counts what goes through it."""

    def __init__(self) -> None:
        super().__init__(0.4, 8.0)
        self.count = 0

    def forward(self, images: Tensor) -> Tensor:
        self.count += len(images)
        return super().forward(images)


@dataclass
class Bench:
    """A run on two made-up eyes, which can be asked again for something else."""

    store: Store
    model: Counting = field(default_factory=Counting)
    cases: Cases = field(
        default_factory=lambda: Cases("mine", "test", ("0", "1"), lambda i: draw_eye(image_seed=int(i), id=i))
    )
    events: list[Event] = field(default_factory=list)

    def setting(self, metrics: Sequence[Any] = METRICS, **changed: Any) -> Setting:
        specs = tuple(parse("metric", m) for m in metrics)
        return replace(Setting("mine", "test", "white", "digest", "vessels", 0, specs), **changed)

    def __call__(
        self,
        *methods: Any,
        metrics: Sequence[Any] = METRICS,
        cases: Cases | None = None,
        setting: dict[str, Any] | None = None,
        watch: Callable[[Step], object] | None = None,
        **options: Any,
    ) -> int:
        self.events.clear()
        self.model.count = 0
        specs = [m if isinstance(m, Spec) else parse("explainer", m) for m in methods]
        chosen = self.setting(metrics, **(setting or {}))
        run = Run(cases or self.cases, specs, self.model, chosen, self.store, RunOptions(**options))
        return execute(run, Listener(self.events.append, watch))

    def records(self) -> dict[tuple[str, str], Record]:
        return {(r.spec, r.case): r for r in self.store.records()}

    def statuses(self) -> list[str]:
        return [e.status for e in self.events]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Store(tmp_path / "run"))


CALLS: list[str] = []  # not among what a function is made with, which is a part of its identity
BROKEN: set[str] = set()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> None:
    CALLS.clear()
    BROKEN.clear()


def counted(value: Callable[[Tensor], Any] = lambda image: 1 - image[1]) -> Callable[..., Any]:
    def mine(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Any:
        CALLS.append("map")
        return value(image)

    return mine


def content(store: Store) -> dict[str, Any]:
    """All of a store but the times, which are never the same twice."""
    found: dict[str, Any] = {}
    for path in sorted(store.root.rglob("*.*")):
        name = str(path.relative_to(store.root))
        if path.suffix == ".npz":
            kept = store.load_map(path.stem)
            assert kept is not None
            found[name] = kept.tobytes()
        elif path.suffix == ".json":
            record = json.loads(path.read_text())
            record |= {"seconds": 0, "peak_mb": 0, "checksum": ""}
            record["scores"] = [s for s in record["scores"] if s["metric"] not in ("seconds", "peak-mb")]
            found[name] = record
    return found


def strict(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


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
    oracle = {s.metric: s.value for s in bench.records()["vessels-oracle", "0"].scores}
    assert oracle["auroc-vessels"] == 1 and oracle["passes"] == 0
    for path in bench.store.root.rglob("cells/*/*.json"):
        json.loads(path.read_text(), parse_constant=strict)


def test_a_second_time_nothing_is_computed(bench: Bench) -> None:
    method = counted()
    bench(method, "prediction")
    before, maps = content(bench.store), len(CALLS)
    assert bench(method, "prediction") == 0
    assert bench.statuses() == ["kept"] * 4
    assert bench.model.count == 0 and len(CALLS) == maps and content(bench.store) == before


def test_a_run_that_was_broken_off_goes_on_where_it_was(bench: Bench) -> None:
    method = counted()

    def stop(event: Event) -> None:
        if event.done == 2:
            raise KeyboardInterrupt

    specs = [parse("explainer", m) for m in (method, "random")]
    with pytest.raises(KeyboardInterrupt):
        execute(Run(bench.cases, specs, bench.model, bench.setting(), bench.store), Listener(stop))
    assert len(bench.records()) == 2
    assert bench(method, "random") == 0
    assert bench.statuses() == ["kept", "kept", "ok", "ok"] and len(CALLS) == 2


def test_force_computes_all_again(bench: Bench) -> None:
    method = counted()
    bench(method)
    before = content(bench.store)
    bench(method, force=True)
    assert len(CALLS) == 4 and bench.statuses() == ["ok", "ok"] and content(bench.store) == before


def test_a_new_metric_computes_no_map_again(bench: Bench) -> None:
    method = counted()
    bench(method, metrics=["auroc-vessels"])
    bench(method, metrics=["srg[fill=blur]"])
    assert len(CALLS) == 2 and bench.statuses() == ["ok", "ok"]
    record = bench.records()["mine", "0"]
    assert [s.metric for s in record.scores] == ["auroc-vessels", "srg[fill=blur]"]
    together = Bench(Store(bench.store.root.with_name("together")))
    together(method, metrics=["auroc-vessels", "srg[fill=blur]"])
    assert content(together.store) == content(bench.store)


def test_the_order_of_cells_and_methods_does_not_matter(bench: Bench) -> None:
    bench("random", "green-contrast", "prediction")
    other = Bench(Store(bench.store.root.with_name("other")))
    backwards = replace(bench.cases, ids=bench.cases.ids[::-1])
    other("prediction", "random", "green-contrast", cases=backwards)
    assert content(other.store) == content(bench.store)
    alone = Bench(Store(bench.store.root.with_name("alone")))
    for method in ("green-contrast", "prediction", "random"):
        for i in "10":
            alone(method, cases=replace(bench.cases, ids=(i,)))
    assert content(alone.store) == content(bench.store)


def test_a_run_gives_the_map_that_explain_gives(bench: Bench) -> None:
    bench("random", setting={"seed": 7})
    case = bench.cases[1]
    model = GreenFilter(0.4, 8.0)
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
    def moody(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
        CALLS.append("moody")
        if BROKEN:
            raise OSError("no space left")
        return image[1]

    @explainer("shy", family="cam")
    def shy(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
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


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda image: image[1] * torch.nan, "not finite"),
        (lambda image: torch.where(image[1] > 0.5, torch.inf, 0.0), "not finite"),
        (lambda image: image, "returned a map of shape"),
        (lambda image: None, "mine"),
        (lambda image: "map", ""),
    ],
    ids=["NaN", "infinite", "three channels", "nothing", "text"],
)
def test_an_illegal_map_is_a_failure_not_a_zero(bench: Bench, value: Callable[[Tensor], Any], reason: str) -> None:
    assert bench(counted(value)) == 2
    record = bench.records()["mine", "0"]
    assert record.status == "failed" and record.scores == [] and bench.store.load_map(record.map_key) is None
    assert ": " in record.reason
    if reason != "mine":
        assert reason in record.reason


def test_fail_fast_ends_with_the_first_failure(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError):
        bench(counted(failing_on_the_first), "random", fail_fast=True)
    assert bench.events == [] and bench.records() == {}


def own_metric(name: str, compute: Callable[..., Any]) -> Any:
    def score(attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator) -> Any:
        return compute(attribution, case)

    return metric(name, family="overlap", better="higher", range=(0, 1))(score)


def fall(*_: Any) -> Any:
    raise ValueError("no\nsuch luck")


def skip(*_: Any) -> Any:
    raise Skipped("no vessel here")


@pytest.mark.parametrize(
    ("compute", "status", "reason"),
    [
        (fall, "failed", "ValueError: no"),
        (skip, "skipped", "no vessel here"),
        (lambda *_: Score(float("nan")), "failed", "gave nan"),
        (lambda *_: Score(float("inf")), "failed", "gave inf"),
        (lambda *_: None, "failed", "AttributeError"),
        (lambda *_: Score("much"), "failed", "TypeError"),  # type: ignore[arg-type]
    ],
)
def test_a_metric_that_gives_no_score_costs_its_own_score_only(
    bench: Bench, compute: Callable[..., Any], status: str, reason: str
) -> None:
    odd = own_metric("odd", compute)
    assert bench("random", metrics=[odd, "auroc-vessels"]) == (2 if status == "failed" else 0)
    scores = {s.metric: s for s in bench.records()["random", "0"].scores}
    assert scores["odd"].status == status and reason in scores["odd"].reason and scores["odd"].value is None
    assert scores["auroc-vessels"].status == "ok"
    assert bench.statuses() == ["failed" if status == "failed" else "ok"] * 2


def test_a_score_that_failed_is_computed_again(bench: Bench) -> None:
    def compute(attribution: np.ndarray, case: Case) -> Score:
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
    (score,) = bench.records()["mine", "0"].scores
    assert score.value == 0.5 and score.curve is not None and score.curve["x"] == [0, 1]


def test_a_failed_score_that_was_not_asked_for_is_no_failure(bench: Bench) -> None:
    assert bench("random", metrics=[own_metric("odd", fall)]) == 2
    assert bench("random", metrics=["auroc-vessels"]) == 0
    assert bench.statuses() == ["ok", "ok"]


def test_metrics_cannot_spoil_each_others_map(bench: Bench) -> None:
    def greedy(attribution: np.ndarray, case: Case) -> Score:
        attribution *= -1
        return Score(0.0)

    bench("vessels-oracle", metrics=[own_metric("a-greedy", greedy), "auroc-vessels"])
    scores = {s.metric: s.value for s in bench.records()["vessels-oracle", "0"].scores}
    assert scores["auroc-vessels"] == 1


def test_methods_cannot_spoil_each_others_image(bench: Bench) -> None:
    def greedy(image: Tensor) -> Tensor:
        return image.mul_(0)[1].requires_grad_()

    bench(counted(greedy), "green-contrast")
    alone = Bench(Store(bench.store.root.with_name("alone")))
    alone("green-contrast")
    key = alone.records()["green-contrast", "0"].map_key
    np.testing.assert_array_equal(bench.store.load_map(key), alone.store.load_map(key))


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
    bench("random", "prediction", setting={"target": "false-positives"})
    assert bench.statuses() == ["kept"] * 4 and bench.model.count == 0


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
    def many(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
        scorer.probability(torch.stack([image] * 5))
        scorer(image[None])
        return image[1]

    bench("random", many, "prediction")
    assert {spec: r.passes for (spec, case), r in bench.records().items() if case == "0"} == {
        **{"random": 0, "many": 6, "prediction": 1}
    }
    scores = {s.metric: s.value for s in bench.records()["many", "0"].scores}
    assert scores["passes"] == 6


def test_a_network_that_cannot_take_the_image_is_the_users_error(tmp_path: Path) -> None:
    bench = Bench(Store(tmp_path))
    grey = torch.nn.Conv2d(1, 1, 3, padding=1).eval()
    with pytest.raises(UserError, match=r"cannot take an image of shape \(1, 3, "):
        execute(Run(bench.cases, [parse("explainer", "random")], grey, bench.setting(), bench.store), Listener())
    assert not list(tmp_path.glob("cells/*"))


def test_a_cell_that_takes_too_long_has_failed_and_the_next_ones_go_on(bench: Bench) -> None:
    def hangs(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
        CALLS.append("map")
        while len(CALLS) < 3:
            time.sleep(1)
        return 1 - image[1]

    assert bench(hangs, "vessels-oracle", timeout=0.5) == 2
    assert bench.statuses() == ["failed", "ok"] * 2
    record = bench.records()["hangs", "0"]
    assert record.status == "failed" and record.reason == "it took longer than 0.5 s (--timeout)" and not record.scores
    CALLS.append("let it pass")
    assert bench(hangs, "vessels-oracle", timeout=60) == 0  # what has failed is computed again
    assert bench.statuses() == ["ok", "kept"] * 2
    CALLS.clear()
    with pytest.raises(TimeoutError, match="longer than"):
        bench(hangs, timeout=0.2, force=True, fail_fast=True)
