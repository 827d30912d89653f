"""What every written-out leaderboard shows: its cells as text, its heading, and the notes under it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboard.aggregate import MAIN_COLUMNS
from xaibench.leaderboard.board import Leaderboard

EMPTY = "–"
WEAK_ALPHA = 0.1


def number(x: float, *, bounded: bool = True) -> str:
    """A number as short as a table needs it: ``.71``, ``-.05``, ``1.3``; ``–`` for NaN.

    Args:
        x: the number.
        bounded: its range is finite, so that less than half a hundredth is nothing; else it is written out.

    Example:
        >>> number(0.714), number(-0.05), number(12.34), number(1234.5), number(3e-9, bounded=False)
        ('.71', '-.05', '12.3', '1234', '3.0e-9')
    """
    if not math.isfinite(x):
        return EMPTY
    size = abs(x)
    if not bounded and 0 < size < 0.005:
        mantissa, exponent = f"{x:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    text = f"{x:.{0 if size >= 99.95 else 1 if size >= 9.995 else 2}f}"
    return re.sub(r"^-(?=0?\.?0*$)", "", text).replace("0.", ".", 1) if size < 0.995 else text


def with_interval(mean: float, low: float, high: float, *, bounded: bool = True) -> str:
    """``.71 [.68, .74]``, or the mean alone where there is no interval."""
    if not math.isfinite(low):
        return number(mean, bounded=bounded)
    return f"{number(mean, bounded=bounded)} [{number(low, bounded=bounded)}, {number(high, bounded=bounded)}]"


@dataclass(frozen=True)
class Sheet:
    """A table of text: heads, one list of cells per method, then one per control; the ``left`` columns are words."""

    heads: list[str]
    methods: list[list[str]]
    controls: list[list[str]]
    left: frozenset[int]

    @property
    def lines(self) -> list[list[str]]:
        """Methods, then controls."""
        return self.methods + self.controls


def sheet(board: Leaderboard, columns: Sequence[str], *, intervals: bool) -> Sheet:
    """The cells of a table.

    Args:
        board: what is shown.
        columns: names of metrics, ``"seconds"`` and ``"passes"``, in the order they stand.
        intervals: with every metric; else with the primary one alone.
    """
    cells: list[list[str]] = [
        [str(r.rank or ("" if r.control else EMPTY)) for r in board.rows],
        [r.method for r in board.rows],
        [r.group for r in board.rows],
    ]
    for name in columns:
        column = board.column(name)
        if column is None:
            cost = [getattr(r, name) for r in board.rows]
            cells.append([f"{c:.0f}" if name == "passes" and c.is_integer() else number(c) for c in cost])
            continue
        mean = board.mean(column)
        low = high = np.full(len(mean), np.nan)
        if intervals or column == board.primary:
            low, high = board.interval(column)
        cells.append([with_interval(*v, bounded=column.bounded) for v in zip(mean, low, high, strict=True)])
    lines = [list(line) for line in zip(*cells, strict=True)]
    split = sum(not r.control for r in board.rows)
    heads = ["#", "method", "group", *columns]
    drop = [i for i in (2, 0) if not any(line[i].strip(EMPTY) for line in lines)]  # no ranks or groups: no column
    for i in drop:
        for line in (heads, *lines):
            del line[i]
    left = frozenset(i for i, h in enumerate(heads) if h in ("method", "group"))
    return Sheet(heads, lines[:split], lines[split:], left)


def main_columns(board: Leaderboard) -> list[str]:
    """The primary column, the other main ones that were measured, seconds and passes."""
    names = [c.name for c in board.columns if c.name in MAIN_COLUMNS]
    if board.primary and board.primary.name not in names:
        names.insert(0, board.primary.name)
    return [*names, "seconds", "passes"]


def all_columns(board: Leaderboard) -> list[str]:
    """Every metric, seconds and passes."""
    return [*(c.name for c in board.columns), "seconds", "passes"]


def heading(board: Leaderboard) -> str:
    """What the table is about, in one line."""
    images = f"{len(board.cases)} image{'s' * (len(board.cases) != 1)}"
    by = f" · by mean rank on {board.primary.name}" if board.primary else ""
    return f"{board.dataset} {board.split} · {board.model} · target {board.target} · {images}{by}"


def unreliable(board: Leaderboard) -> list[str]:
    """The main columns that rank the methods differently from image to image, Krippendorff's α being below .1."""
    found = []
    for column in board.columns:
        alpha = board.reliability(column) if column.name in MAIN_COLUMNS else None
        if alpha is not None and alpha < WEAK_ALPHA:
            found.append(column.name)
    return found


def notes(board: Leaderboard) -> list[str]:
    """What a reader must know to read the table: intervals, groups, agreement of the fills."""
    lines = []
    if len(board.cases) > 1:
        lines.append("[ ]: 95 % bootstrap interval of the mean over images.")
    tests = board.comparison
    if tests.letters:
        first = "" if tests.friedman_p is None else f"Friedman p = {tests.friedman_p:.2g}, then "
        lines.append(f"group: methods that share a letter cannot be told apart ({first}Wilcoxon with Holm, α = .05).")
    else:
        lines.append(f"No groups: {tests.reason}.")
    fills = [c for c in board.columns if re.fullmatch(r"srg(\[fill=[\w-]+\])?", c.name)]
    agreement = {pair: tau for pair, tau in board.agreement(fills).items() if tau is not None}
    if agreement:
        shown = ", ".join(f"{a} and {b} {number(tau)}" for (a, b), tau in agreement.items())
        lines.append(f"Rank agreement between fills (Kendall τ): {shown}.")
    if weak := unreliable(board):
        lines.append(f"Ranks differ from image to image (Krippendorff α below .1): {', '.join(weak)}.")
    if board.primary and any(r.rank is None and not r.control for r in board.rows):
        lines.append(f"{EMPTY}: a score is missing on at least one image; without {board.primary.name}, no rank.")
    if any(r.control for r in board.rows):
        lines.append("The last block are controls, which are not ranked.")
    return lines
