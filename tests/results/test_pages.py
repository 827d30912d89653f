"""The pages beside the published tables say what the tables say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from made_up import draw_eye

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture
def pages(beside: Callable[[str], ModuleType]) -> ModuleType:
    return beside("pages")


@pytest.mark.parametrize("name", ["agreement.md", "networks.md", "questions.md"])
def test_a_page_is_what_the_published_tables_say(pages: ModuleType, name: str) -> None:
    assert pages.READ[name]() == (RESULTS / name).read_text()


def test_the_second_observer_is_scored_like_a_network(pages: ModuleType) -> None:
    cases = [draw_eye(), draw_eye(image_seed=1, id="other")]
    assert all(case.observer2 is not None for case in cases)
    found = pages.evaluate(pages._second(cases), cases)
    inside = [(case.observer2 & case.fov, case.vessels & case.fov) for case in cases]
    hits = sum(int((a & b).sum()) for a, b in inside)
    both = sum(int(a.sum() + b.sum()) for a, b in inside)
    assert found.pooled["f1"] == pytest.approx(2 * hits / both)
    row = [cell.strip() for cell in pages._row(pages.OBSERVER, found).split("|")[1:-1]]
    assert len(row) == len(pages.FIGURES) + 2 and row[1:3] == ["–", "–"] and row[3] == f"{found.pooled['f1']:.4f}"
