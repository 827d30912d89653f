"""Leaderboards in every output format, and the tables of a run's folder."""

from collections.abc import Sequence
from pathlib import Path

from xaibench.leaderboard.export import about, csv_text, json_text, plain
from xaibench.leaderboard.leaderboard import LAST, Leaderboard
from xaibench.leaderboard.tables.formats import TERMINAL_WIDTH, write_sheets
from xaibench.leaderboard.tables.leaderboard_table import leaderboard_sheet
from xaibench.leaderboard.tables.metric_quality_table import render_metrics
from xaibench.record import Store, write_text


def rows(board: Leaderboard) -> list[dict[str, object]]:
    """One dictionary per row with the columns of ``leaderboard.csv``; None for a missing number."""
    table = board.table()
    lines = (dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True))
    return [plain(line) | {"coverage": line["coverage"]} for line in lines]


def to_csv(boards: Sequence[Leaderboard]) -> str:
    """The columns of ``leaderboard.csv``; several leaderboards have dataset, split, model and target before them."""
    lines = [(about(b) if len(boards) > 1 else {}) | line for b in boards for line in rows(b)]
    heads = list(dict.fromkeys(name for line in lines for name in line))
    return csv_text(lines, [*(h for h in heads if h not in LAST), *LAST])


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
