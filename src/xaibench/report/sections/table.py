"""The table section: a leaderboard that can be sorted; main columns are shown first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboard.default_columns import main_stem
from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics.metric_quality import Quality, qualities
from xaibench.leaderboard.tables.leaderboard_table import all_columns, cells_of, notes, rank_text

_DIRECTIONS = {
    "higher": "Higher is better.",
    "lower": "Lower is better.",
    "zero": "Nearest 0 is best.",
    "none": "Descriptive; no direction is better.",
}


@dataclass(frozen=True)
class TableColumn:
    """A column of the table on the page.

    Attributes:
        name: its heading.
        title: an explanation of it.
        texts: one per row of the leaderboard.
        values: what it is sorted by, numbers or texts.
        chance: the band of chance, or empty.
        first: whether it is shown at once.
        weak: whether it is grey.
        word: whether it holds words.
    """

    name: str
    title: str
    texts: Sequence[str]
    values: Sequence[float | str]
    chance: str = ""
    first: bool = True
    weak: bool = False
    word: bool = False

    def value(self, row: int) -> str:
        """What a row is sorted by; empty if it has no number."""
        value = self.values[row]
        return value if isinstance(value, str) else f"{value:.9g}" if math.isfinite(value) else ""


def table(board: Leaderboard) -> dict[str, object]:
    """The table for the template.

    Returns:
        ``blocks``: ``methods`` and ``controls``, rows of the leaderboard with their index; ``columns``: each a
        :class:`TableColumn`; ``notes``: sentences.
    """
    quality = qualities(board)
    rows = board.rows
    primary = f"Place by the mean rank over images on {board.primary.name}." if board.primary else "No column ranks."
    ranks, groups = [r.rank or math.inf for r in rows], [r.group for r in rows]
    columns = [TableColumn("rank", primary, list(map(rank_text, rows)), ranks)]
    if any(groups):
        title = "Methods that share a letter cannot be told apart."
        columns.append(TableColumn("group", title, groups, groups, word=True))
    columns += [_metric(board, c, quality.get(c.name)) for c in board.columns]
    coverage = [r.coverage for r in rows]
    covered = [f"{100 * share:.0f} %" for share in coverage]
    lacking = any(r.coverage < 1 for r in rows if not r.control)
    columns.append(TableColumn("coverage", "Share of the images with a map.", covered, coverage, first=lacking))
    for name, unit in (("seconds", "Wall time per map, s"), ("passes", "Network passes per map")):
        *texts, _ = cells_of(board, name)
        costs = [getattr(r, name) for r in rows]
        columns.append(TableColumn(name, f"{unit}. Lower is better.", texts, costs, first=name == "seconds"))
    blocks = {
        k: [(i, r) for i, r in enumerate(rows) if r.control == (k == "controls")] for k in ("methods", "controls")
    }
    return {"blocks": blocks, "columns": columns, "notes": notes(board, all_columns(board), quality)}


def _metric(board: Leaderboard, column: Column, quality: Quality | None) -> TableColumn:
    mean = board.mean(column)
    *texts, chance = cells_of(board, column.name)
    sentences = [column.explanation, _DIRECTIONS[column.better], f"Family: {column.family}."]
    declared = column.main is not None or column.gate is not None or column == board.primary
    return TableColumn(
        *(main_stem(column.label), " ".join(filter(None, sentences)), texts, mean.tolist(), chance),
        first=declared and bool(np.isfinite(mean).any()),
        weak=quality is not None and quality.weak,
    )
