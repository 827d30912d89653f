"""What the texts show of the published tables is what these hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ROWS = (
    ("#", "method", "srg", "auroc"),
    ("1", "lime", ".8 [.7, .9]", ".6"),
    ("2", "gradcam[layer=last]", ".7", ".5"),
    ("", "*prediction*", "*.9*", "*.8*"),
)


@pytest.fixture
def excerpts(beside: Callable[[str], ModuleType]) -> ModuleType:
    return beside("excerpts")


def test_rows_and_columns_are_chosen_and_keep_the_order_of_the_table(excerpts: ModuleType) -> None:
    found = excerpts.excerpt(ROWS, ["auroc", "srg"], ["prediction", "lime"])
    assert found.splitlines() == [
        "| # | method | auroc | srg |",
        "| --: | :-- | --: | --: |",
        "| 1 | lime | .6 | .8 [.7, .9] |",
        "|  | *prediction* | *.8* | *.9* |",
    ]
    assert len(excerpts.excerpt(ROWS, ["srg"], ["all"]).splitlines()) == 5


def test_what_the_table_lacks_is_named(excerpts: ModuleType) -> None:
    with pytest.raises(ValueError, match="no lift, rise"):
        excerpts.excerpt(ROWS, ["lift"], ["rise", "lime"])


def test_an_outdated_excerpt_is_filled_in_anew(excerpts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpts, "table", lambda name, target: ROWS if (name, target) == ("drive", "thin") else ())
    mark = "<!-- results/drive thin: srg; lime gradcam[layer=last] -->"
    text = f"before\n{mark}\n| old |\n<!-- end -->\nafter\n<!-- end -->\n"
    found = excerpts.filled(text)
    rows = "| # | method | srg |\n| --: | :-- | --: |\n| 1 | lime | .8 [.7, .9] |\n| 2 | gradcam[layer=last] | .7 |\n"
    assert found == f"before\n{mark}\n{rows}<!-- end -->\nafter\n<!-- end -->\n"
    assert excerpts.filled(found) == found


def test_a_page_s_table_is_shown_whole(excerpts: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(excerpts, "HERE", tmp_path / "results")
    (tmp_path / "page.md").write_text("# Head\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n* a note\n")
    found = excerpts.filled("before\n<!-- table of page.md -->\nold\n<!-- end -->\nafter\n")
    rows = "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert found == f"before\n<!-- table of page.md -->\n{rows}<!-- end -->\nafter\n"


def test_a_page_s_table_under_a_heading(excerpts: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(excerpts, "HERE", tmp_path / "results")
    (tmp_path / "page.md").write_text("# Head\n\n## a-b\n\n| 1 |\n\n## a\n\nSays:\n\n| 2 |\n\n### c\n\n| 3 |\n")
    for heading, row in {"a-b": "| 1 |", "a": "| 2 |", "c": "| 3 |"}.items():
        found = excerpts.filled(f"<!-- table of page.md: {heading} -->\nold\n<!-- end -->\n")
        assert found == f"<!-- table of page.md: {heading} -->\n{row}\n<!-- end -->\n"
    with pytest.raises(ValueError, match="no heading 'd'"):
        excerpts.filled("<!-- table of page.md: d -->\n<!-- end -->\n")


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "results" / "README.md"], ids=lambda p: p.parent.name)
def test_the_texts_show_what_was_published(excerpts: ModuleType, path: Path) -> None:
    assert path in excerpts.TEXTS
    text = path.read_text()
    assert excerpts.filled(text) == text, "give `python results/excerpts.py`"
