import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import write_drive
from made_up import GreenFilter
from torch import Tensor

from xaibench import registry
from xaibench.data.case_loader import load_cases
from xaibench.data.phantom import draw as phantom
from xaibench.errors import UserError
from xaibench.metrics.score import Score
from xaibench.record import SCORE_COLUMNS, Store
from xaibench.running.events import Event, Listener
from xaibench.running.request import Request
from xaibench.running.resolve import default_model, resolve
from xaibench.running.run import compute, run

WHITE = GreenFilter(0.4, 8.0)
draw_once = cache(phantom.draw_phantom)
SMALL: dict[str, Any] = {"data": "phantom[size=128]", "cases": 2, "metrics": ["auroc-vessels", "passes"]}


@registry.metric(
    "redness", family="mine", better="zero", range=(-1, float("inf")), label="red", main=20, narrow=False, gate=0.5
)
def redness(attribution: Any, case: Any, scorer: Any, *, steps: int = 4, shade: str = "dark") -> Score:
    """How red the map is."""
    return Score(0.0)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No data lies about, and what is written is written here."""
    monkeypatch.setattr(phantom, "draw_phantom", draw_once)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XAIBENCH_DRIVE", raising=False)
    return tmp_path


def mine(scorer: Any, image: Tensor) -> Tensor:
    return 1 - image[1]


def test_a_run_is_a_tidy_table_and_the_same_command_resumes(nowhere: Path) -> None:
    events: list[Event] = []
    table = run([mine, "random"], model=WHITE, out="here", report=events.append, **SMALL)
    assert list(table.columns) == list(SCORE_COLUMNS)
    controls = {"random", "prediction", "green-contrast", "frangi", "vessels-oracle"}
    assert set(table.method) >= {"mine", *controls}
    missing = table[table.method == "second-observer"]  # phantoms have none: a line per case, not per metric
    assert missing.status.tolist() == ["skipped"] * 2 and (missing.reason != "").all()
    assert len(table) - 2 == (len(events) - 2) * 2 == (table.method.nunique() - 1) * 2 * 2
    assert (table.drop(missing.index).status == "ok").all()
    assert (table.dataset == "phantom").all() and (table.seed == 0).all()
    oracle = table[(table.method == "vessels-oracle") & (table.metric == "auroc-vessels")]
    assert oracle.value.tolist() == [1.0, 1.0] and oracle.case.tolist() == ["phantom-0000", "phantom-0001"]
    assert (nowhere / "here" / "scores.csv").read_text().count("\n") == len(table) + 1
    events.clear()
    again = run([mine, "random"], model=WHITE, out="here", report=events.append, **SMALL)
    assert {e.status for e in events} == {"kept"} and again.equals(table)


def test_the_table_holds_what_was_asked_for_now() -> None:
    run([mine], model=WHITE, out="here", **SMALL)
    table = run(["random"], model=WHITE, out="here", **(SMALL | {"cases": 1}))
    assert "mine" not in set(table.method) and set(table.case) == {"phantom-0000"}
    asked = Store("here").read_run()
    assert "mine" in asked.methods and asked.cases == ["phantom-0000", "phantom-0001"]


def test_what_was_asked_is_kept_beside_it() -> None:
    prepared = resolve(Request([mine], model=WHITE, out="here", seed=3, **SMALL))
    assert compute(prepared, "xaibench run …", Listener()) == 0
    asked = json.loads(Path("here/run.json").read_text(), parse_constant=lambda c: pytest.fail(c))
    assert asked["command"] == "xaibench run …" and asked["seed"] == 3 and asked["dataset"] == "phantom"
    assert asked["metrics"] == SMALL["metrics"] and asked["methods"][:1] == ["mine"]
    assert asked["versions"]["numpy"] == np.__version__
    assert asked["weights_digest"] == prepared.setting.weights_digest


def test_run_json_holds_what_tables_need_of_each_metric() -> None:
    def columns(*metrics: Any) -> dict[str, Any]:
        prepared = resolve(Request(["random"], model=WHITE, out="here", **(SMALL | {"metrics": metrics})))
        prepared.store.write_run(prepared.manifest("xaibench run …"))
        found: dict[str, Any] = json.loads(Path("here/run.json").read_text("utf-8"))["columns"]
        return found

    found = columns(redness, "srg[steps=10]", "srg[fill=blur]", "mprt")
    assert found["redness"] == {
        "label": "red",
        "explanation": "How red the map is.",
        "main": 20,
        "narrow": False,
        "better": "zero",
        "low": -1,  # no greatest value is kept
        "family": "mine",
        "gate": 0.5,
    }
    assert [found[name].get("main") for name in ("srg[steps=10]", "srg[fill=blur]", "mprt")] == [0, None, None]
    assert found["srg[fill=blur]"]["label"] == "srg[fill=blur]" and found["mprt"]["gate"] == 0.5
    # A later command in the same folder adds its columns.
    assert set(columns("auroc-thin")) == {*found, "auroc-thin"}


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_damaged_note_of_what_was_asked_is_written_anew(content: str) -> None:
    Path("here").mkdir()
    Path("here/run.json").write_text(content)
    run(["random"], model=WHITE, out="here", **(SMALL | {"cases": 1}))
    assert Store("here").read_run().cases == ["phantom-0000"]


def test_an_interruption_leaves_a_table_and_is_passed_on() -> None:
    def stop(event: Event) -> None:
        if event.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([mine], model=WHITE, out="here", report=stop, **SMALL)
    assert Path("here/scores.csv").read_text().count("\n") == 1 + 2 * 2


def test_a_failure_is_a_line_of_the_table() -> None:
    def broken(scorer: Any, image: Tensor) -> Tensor:
        raise ZeroDivisionError("oh")

    table = run([broken], model=WHITE, out="here", **SMALL)
    failed = table[table.method == "broken"]
    assert failed.status.tolist() == ["failed"] * 2 and failed.reason.unique().tolist() == ["ZeroDivisionError: oh"]
    others = table[~table.method.isin(["broken", "second-observer"])]  # phantoms have no second observer
    assert len(others) and (others.status == "ok").all()
    with pytest.raises(ZeroDivisionError):
        run([broken], model=WHITE, out="there", fail_fast=True, **SMALL)


def test_what_remains_is_counted_without_computing() -> None:
    prepared = resolve(Request([mine], model=WHITE, out="here", **SMALL))
    n = 2 * len(prepared.methods)
    assert prepared.remaining() == {"cells": n, "kept": 0, "scores": 0, "maps": n}
    assert not Path("here").exists()
    compute(prepared, "", Listener())
    assert prepared.remaining() == {"cells": n, "kept": n, "scores": 0, "maps": 0}
    more = resolve(Request([mine], model=WHITE, out="here", **(SMALL | {"metrics": ["passes", "rank-vessels"]})))
    # A map that was skipped, of the second observer that phantoms have not, needs no scores.
    assert more.remaining() == {"cells": n, "kept": 2, "scores": n - 2, "maps": 0}
    forced = resolve(Request([mine], model=WHITE, out="here", force=True, **SMALL))
    assert forced.remaining()["maps"] == n


def test_without_data_the_phantoms_are_used_and_it_is_said_why() -> None:
    prepared = resolve(Request(model=WHITE))
    assert prepared.cases.dataset == "phantom" and len(prepared.cases) == 3
    assert "built-in phantoms, since DRIVE was not found" in prepared.why and "XAIBENCH_DRIVE" in prepared.why
    assert len(resolve(Request(model=WHITE, cases=2)).cases) == 2
    assert prepared.store.root == Path("runs/phantom-size-256-GreenFilter-vessels")


def test_drive_is_used_where_it_is_found(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_drive(nowhere / "eyes", test=[1])
    monkeypatch.setenv("XAIBENCH_DRIVE", str(nowhere / "eyes"))
    prepared = resolve(Request(model=WHITE))
    assert prepared.cases.dataset == "drive" and prepared.cases.ids == ("01",)
    assert f"DRIVE, found in {nowhere / 'eyes'}" in prepared.why
    asked = resolve(Request(model=WHITE, data="phantom[size=128]", suite="standard"))
    assert asked.cases.dataset == "phantom" and asked.why == "Data: phantom[size=128], as asked."


@pytest.mark.parametrize("methods", [(), ("saliency",)])
def test_a_suite_that_takes_a_part_of_the_images_says_so(nowhere: Path, methods: Sequence[str]) -> None:
    data, every = "phantom[size=128]", len(load_cases("phantom[size=128]"))
    prepared = resolve(Request(methods, model=WHITE, data=data))
    said = f"Data: {data}, as asked. The suite quick takes the first 5 of {every} images; --cases {every} takes all."
    assert len(prepared.cases) == 5 < every and prepared.why == said
    for count in (5, every):
        assert "suite" not in resolve(Request(methods, model=WHITE, data=data, cases=count)).why


def test_the_bundled_network_goes_with_the_data() -> None:
    assert default_model("phantom") == "unet-phantom" and default_model("chase") == "unet-chase"
    assert {default_model(d) for d in ("drive", "stare", "my-folder")} == {"unet-drive"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target": "vessel"}, "no target 'vessel'"),
        ({"suite": "fast"}, "no suite 'fast'"),
        ({"methods": ["gradkam"]}, "no explainer called 'gradkam'"),
        ({"metrics": ["srgg"]}, "no metric called 'srgg'"),
        ({"data": "phantoms"}, "neither a dataset nor a folder"),
        ({"data": "phantom[size=12]"}, "too small"),
        ({"split": "tset"}, "no split 'tset'"),
        ({"cases": 0}, "0 cases cannot be loaded"),
        ({"cases": 0, "data": None}, "0 cases cannot be loaded"),
        ({"model": "unet-fantom"}, "no model called 'unet-fantom'"),
        ({"device": "gpu"}, "'gpu' is no device"),
        ({"device": "cuda:99"}, "cuda:99 was asked for"),
        ({"device": "meta"}, "does not compute on"),
    ],
)
def test_what_does_not_exist_is_told_before_anything_is_written(
    nowhere: Path, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        resolve(Request(**({"model": WHITE, "data": "phantom[size=128]", "cases": 1} | asked)))
    assert list(nowhere.iterdir()) == []


def test_an_unknown_option_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="datta"):
        run(datta="phantom")


def test_scores_of_another_precision_are_of_another_network(tmp_path: Path) -> None:
    asked = {"methods": ("gradcam",), "data": "phantom[size=128]", "cases": 1, "metrics": ("passes",)}
    whole, less = (resolve(Request(**asked, precision=p, out=tmp_path)) for p in ("float32", "bf16"))
    assert less.setting.model == "unet-phantom (bf16)"
    assert less.setting.weights_digest == f"{whole.setting.weights_digest}-bf16"
    keys = [{c.key for c in p.plan.cells(whole.cases[0].digest)} for p in (whole, less)]
    assert not keys[0] & keys[1]
    with pytest.raises(UserError, match="no precision 'fp16'"):
        resolve(Request(**asked, precision="fp16"))


def test_a_run_says_what_its_images_and_network_can_be_had_by() -> None:
    prepared = resolve(Request(model=WHITE, out="here", **SMALL))
    assert prepared.manifest("").data == "phantom[size=128]" and prepared.manifest("").network is None
    named = resolve(Request(out="here", **SMALL)).manifest("")
    assert named.network == "unet-phantom"
    found = resolve(Request(out="here", metrics=["passes"])).manifest("")  # no data was asked for
    assert found.data == "phantom[size=256]"
