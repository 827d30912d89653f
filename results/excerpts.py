"""Parts of the published tables that stand in a text: ``python results/excerpts.py`` fills them in anew.

Where a text says ``<!-- results/drive vessels: srg auroc-thin; gradcam lime prediction -->``, these columns and rows
of that table follow, up to ``<!-- end -->``; ``all`` stands for all rows. Where it says ``<!-- table of FILE -->``, the
table of that page follows, or, with ``<!-- table of FILE: HEADING -->``, the one under that heading. A test says when
they are not the published.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tables import said

HERE = Path(__file__).parent
TEXTS = (HERE.parent / "README.md", HERE / "README.md")
BLOCK = re.compile(
    r"(<!-- results/(?P<name>\S+) (?P<target>\S+): (?P<columns>[^;]+); (?P<rows>.+?) -->\n).*?(?=<!-- end -->)",
    re.DOTALL,
)
WHOLE = re.compile(r"(<!-- table of (?P<page>[^\s:]+)(?:: (?P<under>[^>\n]+))? -->\n).*?(?=<!-- end -->)", re.DOTALL)
Rows = tuple[tuple[str, ...], ...]


@cache
def table(name: str, target: str) -> Rows:
    """All cells of a published table, its head first, as they are shown."""
    text = said("leaderboard", str(HERE / name), "--target", target, "--wide", "--format", "markdown")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = (tuple(cell.strip() for cell in line[1:-1].split(" | ")) for line in lines)
    return tuple(row for row in cells if not row[0].startswith("--"))


def excerpt(rows: Rows, columns: list[str], methods: list[str]) -> str:
    """Some columns and methods of a table, in its order, as Markdown.

    Raises:
        ValueError: if there is no such column or method.
    """
    head, *body = rows
    shown = [row for row in body if methods == ["all"] or row[1].strip("*") in methods]
    wanted = ["#", "method", *columns]
    absent = {c for c in wanted if c not in head} | (set(methods) - {"all"} - {row[1].strip("*") for row in body})
    if absent:
        raise ValueError(f"The table has no {', '.join(sorted(absent))}.")
    places = [head.index(c) for c in wanted]
    ruler = ["--:", ":--", *["--:"] * len(columns)]
    lines = [wanted, ruler, *([row[p] for p in places] for row in shown)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def only_table(page: str, under: str | None) -> str:
    """The lines of a page's table, or of the one under a heading.

    Raises:
        ValueError: if the page has no such heading.
    """
    if under is not None:
        _before, *after = re.split(rf"^#+ {re.escape(under)}$", page, maxsplit=1, flags=re.MULTILINE)
        if not after:
            raise ValueError(f"The page has no heading {under!r}.")
        page = re.split(r"^#+ ", after[0], maxsplit=1, flags=re.MULTILINE)[0]
    return "".join(line for line in page.splitlines(keepends=True) if line.startswith("|"))


def filled(text: str) -> str:
    """A text with its excerpts as they are to be."""

    def fill(block: re.Match[str]) -> str:
        rows = table(block["name"], block["target"])
        return block[1] + excerpt(rows, block["columns"].split(), block["rows"].split())

    def whole(block: re.Match[str]) -> str:
        return block[1] + only_table((HERE.parent / block["page"]).read_text(), block["under"])

    return WHOLE.sub(whole, BLOCK.sub(fill, text))


def write() -> None:
    """Fill in all texts."""
    for path in TEXTS:
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    write()
