"""Leaderboards in every output format, and the tables of a run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xaibench.leaderboard.export import about, csv_text, json_text, plain
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.tables.formats import TERMINAL_WIDTH, write_sheets
from xaibench.leaderboard.tables.leaderboard_table import leaderboard_sheet
from xaibench.leaderboard.tables.metric_quality_table import render_metrics
from xaibench.record import Store, write_text

_FIRST = ("rank", "method", "family", "control", "coverage")
_LAST = ("mean_rank", "group", "seconds", "passes")  # stay last when a later leaderboard adds metrics
Value = str | float | None


def rows(board: Leaderboard) -> list[dict[str, Value]]:
    """One dictionary per row with the columns of ``leaderboard.csv``; None for a missing number."""
    lines: list[dict[str, Value]] = [{n: getattr(r, n) for n in _FIRST} for r in board.rows]
    for c in board.columns:
        low, high = board.interval(c)
        for line, *values in zip(lines, board.mean(c), low, high, strict=True):
            line |= zip((c.name, f"{c.name}_lo", f"{c.name}_hi"), map(plain, values), strict=True)
    for line, r in zip(lines, board.rows, strict=True):
        line |= {n: r.group if n == "group" else plain(getattr(r, n)) for n in _LAST}
    return lines


def to_csv(boards: Sequence[Leaderboard]) -> str:
    """The columns of ``leaderboard.csv``; several leaderboards have dataset, split, model and target before them."""
    lines = [(about(b) if len(boards) > 1 else {}) | line for b in boards for line in rows(b)]
    heads = list(dict.fromkeys(name for line in lines for name in line))
    return csv_text(lines, [*(h for h in heads if h not in _LAST), *_LAST])


def render(
    boards: Sequence[Leaderboard],
    format: str = "table",
    *,
    wide: bool = False,
    width: int = TERMINAL_WIDTH,
    faint: bool = False,
) -> str:
    """Leaderboards in one of :data:`~xaibench.vocabulary.TABLE_FORMATS`.

    Args:
        boards: one table each.
        format: csv and json always have all columns.
        wide: show all columns.
        width: of the terminal, characters; the format ``"table"`` drops columns to fit, unless ``wide``.
        faint: dim weak columns with ANSI codes in the format ``"table"``.

    Raises:
        UserError: for an unknown format.
    """
    fitted = width if format == "table" and not wide else None
    return write_sheets(
        lambda: [leaderboard_sheet(b, wide=wide, width=fitted) for b in boards],
        format,
        width=fitted,
        faint=faint,
        csv=lambda: to_csv(boards),
        json=lambda: json_text([about(b) | line for b in boards for line in rows(b)]),
    )


def write_leaderboard(store: Store, boards: Sequence[Leaderboard]) -> list[Path]:
    """Write ``leaderboard.csv``, ``leaderboard.md`` and ``metrics.csv`` of a run.

    Args:
        store: the run's folder.
        boards: its leaderboards.

    Returns:
        The paths of the three files.

    Raises:
        UserError: if the folder cannot be written.
    """
    texts = {
        "leaderboard.csv": render(boards, "csv"),
        "leaderboard.md": render(boards, "markdown"),
        "metrics.csv": render_metrics(boards, "csv"),
    }
    for name, text in texts.items():
        write_text(store.root / name, text)
    return [store.root / name for name in texts]
