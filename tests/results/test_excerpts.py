"""The excerpts in Markdown pages equal the published tables."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = "excerpts"
ROWS = (
    ("#", "method", "srg", "auroc"),
    ("1", "lime", ".8 [.7, .9]", ".6"),
    ("2", "gradcam[layer=last]", ".7", ".5"),
    ("", "*prediction*", "*.9*", "*.8*"),
)
PAGE = "# Head\n\n| 1 |\n\n* a note\n\n## a-b\n\n| 2 |\n\n## a\n\nSays:\n\n| 3 |\n\n### c\n\n| 4 |\n"


@pytest.fixture
def refresh(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], str]:
    """The lines below a mark after a refresh, which must change nothing else and be idempotent."""
    monkeypatch.setattr(script, "table", lambda name, target: ROWS if (name, target) == ("drive", "thin") else ())
    monkeypatch.setattr(script, "HERE", tmp_path / "results")
    (tmp_path / "page.md").write_text(PAGE)

    def refresh(mark: str) -> str:
        before, after = f"before\n<!-- {mark} -->\n", "<!-- end -->\nafter\n<!-- end -->\n"
        text = script.refresh(f"{before}| old |\n{after}")
        assert text.startswith(before) and text.endswith(after) and script.refresh(text) == text
        return text.removeprefix(before).removesuffix(after)

    return refresh


def test_rows_and_columns_are_selected_and_rows_keep_their_order(script: ModuleType) -> None:
    assert script.excerpt(ROWS, ["auroc", "srg"], ["prediction", "lime"]).splitlines() == [
        "| # | method | auroc | srg |",
        "| --: | :-- | --: | --: |",
        "| 1 | lime | .6 | .8 [.7, .9] |",
        "|  | *prediction* | *.8* | *.9* |",
    ]
    assert len(script.excerpt(ROWS, ["srg"], ["all"]).splitlines()) == 5
    with pytest.raises(ValueError, match="no lift, rise"):
        script.excerpt(ROWS, ["lift"], ["rise", "lime"])


@pytest.mark.parametrize(
    ("mark", "rows"),
    [
        ("results/drive thin: srg; lime", "| # | method | srg |\n| --: | :-- | --: |\n| 1 | lime | .8 [.7, .9] |\n"),
        ("table of page.md", "| 1 |\n| 2 |\n| 3 |\n| 4 |\n"),
        ("table of page.md: a-b", "| 2 |\n"),
        ("table of page.md: a", "| 3 |\n"),
        ("table of page.md: c", "| 4 |\n"),
    ],
)
def test_an_outdated_excerpt_is_refreshed(refresh: Callable[[str], str], mark: str, rows: str) -> None:
    assert refresh(mark) == rows


def test_a_missing_heading_is_named(refresh: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="no heading 'd'"):
        refresh("table of page.md: d")


def test_the_pages_show_the_published_values(script: ModuleType) -> None:
    assert set(script.PAGES) == {ROOT / "README.md", ROOT / "results" / "README.md"}
    for path in script.PAGES:
        assert script.refresh(path.read_text()) == path.read_text(), "run `python results/excerpts.py`"
