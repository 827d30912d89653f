"""Leaderboards, written out: terminal table, markdown, csv, latex, html, json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xaibench.leaderboard.aggregate import read_leaderboards
from xaibench.leaderboard.export import about, csv_text, json_text, plain
from xaibench.leaderboard.gather import main_stem
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.statistics.metric_quality import qualities
from xaibench.leaderboard.tables.formats import aligned, html_page, to_latex, to_markdown, to_text, written
from xaibench.leaderboard.tables.metric_quality_table import render_metrics
from xaibench.leaderboard.tables.numbers import Sheet
from xaibench.leaderboard.tables.sheet import all_columns, main_columns, sheet
from xaibench.record import Store, write_text

TERMINAL_WIDTH = 120
# What a terminal table leaves out first where it is too wide.
_DISPENSABLE = (
    *("fp-lift", "srg-thick", "srg-thin", "thin-gap-matched", "passes", "insertion", "auroc-thick", "lift-thick"),
    *("deletion", "seconds"),
)
_LAST = ("mean_rank", "group", "seconds", "passes")  # stay last where a later leaderboard brings further metrics


def to_table(board: Leaderboard, *, wide: bool = False, width: int = TERMINAL_WIDTH, faint: bool = False) -> str:
    """A table for the terminal, as wide as it must be with ``wide``, else within ``width`` characters."""
    if wide:
        return to_text(_full(board, wide), width=None, faint=faint)
    columns, quality = main_columns(board), qualities(board)
    primary = board.primary.name if board.primary else ""
    shown = sheet(board, columns, quality, intervals=False)
    for name in [c for n in _DISPENSABLE for c in columns if main_stem(c) == n and c != primary]:
        if max(map(len, aligned(shown).splitlines())) <= width:
            break
        columns.remove(name)
        shown = sheet(board, columns, quality, intervals=False)
    left_out = len(all_columns(board)) - len(columns)
    extra = (
        f"{left_out} more column{'s' * (left_out > 1)} with --wide, and in the formats csv and json."
        if left_out
        else ""
    )
    return to_text(shown, width=width, faint=faint, extra=extra)


def _full(board: Leaderboard, wide: bool) -> Sheet:
    columns = all_columns(board) if wide else main_columns(board)
    return sheet(board, columns, qualities(board), intervals=True)


def rows(board: Leaderboard) -> list[dict[str, Any]]:
    """One dictionary per row with the columns of ``leaderboard.csv``; None where there is no number."""
    found: list[dict[str, Any]] = [
        {n: getattr(r, n) for n in ("rank", "method", "family", "control", "coverage")} for r in board.rows
    ]
    for c in board.columns:
        low, high = board.interval(c)
        for line, *values in zip(found, board.mean(c), low, high, strict=True):
            line |= zip((c.name, f"{c.name}_lo", f"{c.name}_hi"), map(plain, values), strict=True)
    for line, r in zip(found, board.rows, strict=True):
        line |= {"mean_rank": plain(r.mean_rank), "group": r.group}
        line |= {"seconds": plain(r.seconds), "passes": plain(r.passes)}
    return found


def to_csv(boards: Sequence[Leaderboard]) -> str:
    """The columns of ``leaderboard.csv``; with several leaderboards, dataset, split, model and target before them."""
    lines = [(about(b) if len(boards) > 1 else {}) | line for b in boards for line in rows(b)]
    heads = list(dict.fromkeys(name for line in lines for name in line))
    return csv_text(lines, [*(h for h in heads if h not in _LAST), *_LAST])


def to_json(boards: Sequence[Leaderboard]) -> str:
    """An array with one object per row: dataset, split, model, target, then the columns of ``leaderboard.csv``."""
    return json_text([about(b) | line for b in boards for line in rows(b)])


def render(boards: Sequence[Leaderboard], format: str = "table", *, wide: bool = False, faint: bool = False) -> str:
    """Leaderboards in one of :data:`~xaibench.leaderboard.tables.formats.FORMATS`.

    Args:
        boards: one table each.
        format: csv and json always have all columns.
        wide: show all columns.
        faint: dim weak columns with ANSI codes; in the format ``"table"`` alone.

    Raises:
        UserError: for another format.
    """
    return written(
        format,
        table=lambda: "\n".join(to_table(b, wide=wide, faint=faint) for b in boards),
        markdown=lambda: "\n".join(to_markdown(_full(b, wide)) for b in boards),
        latex=lambda: "\n".join(to_latex(_full(b, wide)) for b in boards),
        html=lambda: html_page([_full(b, wide) for b in boards]),
        csv=lambda: to_csv(boards),
        json=lambda: to_json(boards),
    )


def write_leaderboard(store: Store, *, seed: int = 0) -> list[Path]:
    """Write ``leaderboard.csv``, ``leaderboard.md`` and ``metrics.csv`` of a run; returns their paths.

    Raises:
        UserError: if the run holds no record or its folder cannot be written.
    """
    boards = read_leaderboards([store], seed=seed)
    texts = {
        "leaderboard.csv": render(boards, "csv"),
        "leaderboard.md": render(boards, "markdown"),
        "metrics.csv": render_metrics(boards, "csv"),
    }
    for name, text in texts.items():
        write_text(store.root / name, text)
    return [store.root / name for name in texts]
