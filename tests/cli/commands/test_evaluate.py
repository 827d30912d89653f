from pathlib import Path

import pytest

from cli.said import Run
from xaibench.data.case_loader import load_cases
from xaibench.models.evaluate import FIGURES, evaluate, predict
from xaibench.models.model_loader import load_model

DATA = ("--data", "phantom[size=128]", "--cases", "2")


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_the_figures_are_those_of_evaluate(xaibench: Run, weights: Path, threshold: float) -> None:
    said = xaibench("evaluate", *DATA, "--model", str(weights), "--json", "--threshold", str(threshold))
    found = said.json
    model = load_model(weights)
    wanted = evaluate(lambda image: predict(model, image), load_cases("phantom[size=128]", count=2), threshold)
    for mine, theirs in [
        (found["pooled"], wanted.pooled),
        *zip(found["per_image"].values(), wanted.per_image.values(), strict=True),
    ]:
        assert tuple(mine) == FIGURES
        assert mine == {k: v if v == v else None for k, v in theirs.items()}  # NaN has no place in JSON
    assert list(found["per_image"]) == ["phantom-0000", "phantom-0001"]
    assert 0 <= found["pooled"]["sensitivity_thin"] <= 1
    about = {k: found[k] for k in ("dataset", "split", "model", "threshold")}
    assert about == {"dataset": "phantom", "split": "test", "model": str(weights), "threshold": threshold}
    assert "field of view" in found["protocol"] and said.code == 0


def test_the_table_has_a_line_per_image(xaibench: Run, weights: Path) -> None:
    said = xaibench("evaluate", *DATA, "--model", str(weights))
    lines = said.out.splitlines()
    assert said.code == 0 and not said.err and lines[2].split() == list(FIGURES)
    assert [line.split()[0] for line in lines[3:6]] == ["pooled", "phantom-0000", "phantom-0001"]
    assert all(len(line.split()) == 1 + len(FIGURES) for line in lines[3:6])


def test_a_white_box_that_finds_the_vessels(xaibench: Run) -> None:
    found = xaibench("evaluate", *DATA, "--model", "made_up:GreenFilter", "--json").json
    assert found["model"] == "made_up:GreenFilter" and found["pooled"]["auc"] > 0.6
