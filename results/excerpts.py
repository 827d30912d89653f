"""Excerpts of the published tables in Markdown pages: ``python results/excerpts.py`` refreshes them.

Two kinds of comments mark an excerpt; the rows follow, up to ``<!-- end -->``:

* ``<!-- results/drive vessels: srg auroc-thin; gradcam lime prediction -->`` takes these columns and rows of a
  published leaderboard; ``all`` takes all rows.
* ``<!-- table of FILE -->`` takes the table of a page, ``<!-- table of FILE: HEADING -->`` the one below a heading.

A test fails if an excerpt differs from the published table.
"""

import re
from functools import cache
from pathlib import Path

from tables import run_cli

HERE = Path(__file__).parent
PAGES = (HERE.parent / "README.md", HERE / "README.md")
EXCERPT = re.compile(
    r"(<!-- results/(?P<name>\S+) (?P<target>\S+): (?P<columns>[^;]+); (?P<rows>.+?) -->\n).*?(?=<!-- end -->)",
    re.DOTALL,
)
PAGE_TABLE = re.compile(
    r"(<!-- table of (?P<page>[^\s:]+)(?:: (?P<heading>[^>\n]+))? -->\n).*?(?=<!-- end -->)", re.DOTALL
)
Rows = tuple[tuple[str, ...], ...]


@cache
def table(name: str, target: str) -> Rows:
    """All formatted cells of a published table, the header first."""
    text = run_cli("leaderboard", str(HERE / name), "--target", target, "--wide", "--format", "markdown")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = (tuple(cell.strip() for cell in line[1:-1].split(" | ")) for line in lines)
    return tuple(row for row in cells if not row[0].startswith("--"))


def excerpt(rows: Rows, columns: list[str], methods: list[str]) -> str:
    """Columns and methods of a table, in the table's order of methods, as Markdown.

    Raises:
        ValueError: if the table lacks a column or method.
    """
    header, *body = rows
    everything = methods == ["all"]
    selected = ["#", "method", *columns]
    missing = {c for c in selected if c not in header}
    missing |= set() if everything else set(methods) - {row[1].strip("*") for row in body}
    if missing:
        raise ValueError(f"The table has no {', '.join(sorted(missing))}.")
    at = [header.index(c) for c in selected]
    ruler = ["--:", ":--", *["--:"] * len(columns)]
    lines = [selected, ruler, *([row[i] for i in at] for row in body if everything or row[1].strip("*") in methods)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page_table(page: str, heading: str | None) -> str:
    """The table lines of a page, or of the section below a heading.

    Raises:
        ValueError: if the page lacks the heading.
    """
    if heading is not None:
        _before, *after = re.split(rf"^#+ {re.escape(heading)}$", page, maxsplit=1, flags=re.MULTILINE)
        if not after:
            raise ValueError(f"The page has no heading {heading!r}.")
        page = re.split(r"^#+ ", after[0], maxsplit=1, flags=re.MULTILINE)[0]
    return "".join(line for line in page.splitlines(keepends=True) if line.startswith("|"))


def refresh(text: str) -> str:
    """The text with all excerpts replaced by the published values."""

    def from_leaderboard(match: re.Match[str]) -> str:
        rows = table(match["name"], match["target"])
        return match[1] + excerpt(rows, match["columns"].split(), match["rows"].split())

    def from_page(match: re.Match[str]) -> str:
        return match[1] + page_table((HERE.parent / match["page"]).read_text(), match["heading"])

    return PAGE_TABLE.sub(from_page, EXCERPT.sub(from_leaderboard, text))


def write() -> None:
    """Refresh the excerpts of all pages."""
    for path in PAGES:
        path.write_text(refresh(path.read_text()))


if __name__ == "__main__":
    write()
