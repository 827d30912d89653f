"""The pages beside the published tables equal what the tables give."""

from pathlib import Path
from types import ModuleType

import pytest
from made_up import draw_eye

RESULTS = Path(__file__).parents[2] / "results"
SCRIPT = "pages"


@pytest.mark.parametrize("name", ["agreement.md", "networks.md", "questions.md"])
def test_a_page_equals_what_the_published_tables_give(script: ModuleType, name: str) -> None:
    assert script.TABLE_PAGES[name]() == (RESULTS / name).read_text()


def test_the_second_observer_is_scored_like_a_network(script: ModuleType) -> None:
    cases = [draw_eye(), draw_eye(image_seed=1, id="other")]
    assert all(case.observer2 is not None for case in cases)
    evaluation = script.evaluate(script.second_observer(cases), cases)
    inside = [(case.observer2 & case.fov, case.vessels & case.fov) for case in cases]
    hits = sum(int((a & b).sum()) for a, b in inside)
    both = sum(int(a.sum() + b.sum()) for a, b in inside)
    assert evaluation.pooled["f1"] == pytest.approx(2 * hits / both)
    row = [cell.strip() for cell in script.segmentation_row(script.OBSERVER, evaluation).split("|")[1:-1]]
    assert len(row) == len(script.FIGURES) + 2
    assert row[1:4] == ["–", "–", f"{evaluation.pooled['f1']:.4f}"]
