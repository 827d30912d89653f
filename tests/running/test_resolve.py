import json
from pathlib import Path
from typing import Any

from made_up import GreenFilter

from xaibench import registry
from xaibench.metrics.score import Score
from xaibench.record import Store
from xaibench.running.request import Request
from xaibench.running.resolve import resolve


@registry.metric(
    "redness", family="mine", better="zero", range=(-1, float("inf")), label="red", main=20, narrow=False, gate=0.5
)
def redness(attribution: Any, case: Any, scorer: Any, *, steps: int = 4, shade: str = "dark") -> Score:
    """How red the map is."""
    return Score(0.0)


def columns(tmp_path: Path, *metrics: Any) -> dict[str, Any]:
    request = Request(
        ["random"], metrics=metrics, model=GreenFilter(0.4), data="phantom[size=128]", cases=1, out=tmp_path
    )
    prepared = resolve(request)
    Store(tmp_path).write_run(prepared.manifest("xaibench run …"))
    found: dict[str, Any] = json.loads((tmp_path / "run.json").read_text("utf-8"))["columns"]
    return found


def test_run_json_holds_what_tables_need_of_each_metric(tmp_path: Path) -> None:
    found = columns(tmp_path, redness, "srg[steps=10]", "srg[fill=blur]", "mprt")
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
    assert set(columns(tmp_path, "auroc-thin")) == {*found, "auroc-thin"}
