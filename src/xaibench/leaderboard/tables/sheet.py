"""What every written-out leaderboard shows: its cells as text, its heading, and the notes under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xaibench.leaderboard.gather import MAIN_COLUMNS, main_stem
from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics.metric_quality import (
    FEW,
    NO,
    NOISE,
    TRUTH,
    WEAK_ALPHA,
    WRONG,
    Quality,
    without_fill,
)
from xaibench.leaderboard.tables.numbers import EMPTY, Sheet, band, number, with_interval

_COST = ("seconds", "passes")


def sheet(board: Leaderboard, columns: Sequence[str], quality: Mapping[str, Quality], *, intervals: bool) -> Sheet:
    """The table of a leaderboard.

    Args:
        board: what is shown.
        columns: names of metrics, ``"seconds"`` and ``"passes"``, in the order they stand.
        quality: of the board's columns.
        intervals: with every metric; else with the primary one alone.
    """
    cells: list[list[str]] = [
        [str(r.rank or ("" if r.control else EMPTY)) for r in board.rows],
        [r.method for r in board.rows],
        [r.group for r in board.rows],
    ]
    foot = ["", "chance", ""]
    for name in columns:
        column = board.column(name)
        if column is None:
            cost = [getattr(r, name) for r in board.rows]
            cells.append([f"{c:.0f}" if name == "passes" and c.is_integer() else number(c) for c in cost])
            foot.append("")
        else:
            cells.append(_cells(board, column, intervals or column == board.primary))
            foot.append(band(*(board.chance(column) or (np.nan, np.nan))) if column.gate is None else "")
    lines = [list(line) for line in zip(*cells, strict=True)]
    split = sum(not r.control for r in board.rows)
    heads = ["#", "method", "group", *columns]
    # No ranks, groups or costs: no column for them.
    empty = [i for i in range(len(heads)) if not any(line[i].strip(EMPTY) for line in lines)]
    for i in reversed([i for i in empty if heads[i] in ("#", "group", *_COST)]):
        for line in (heads, foot, *lines):
            del line[i]
    quality = {name: q for name, q in quality.items() if name in columns}
    return Sheet(
        heading(board),
        heads,
        lines[:split],
        lines[split:],
        foot if any(c for c in foot if c != "chance") else [],
        notes(board, columns, quality),
        left=frozenset(i for i, h in enumerate(heads) if h in ("method", "group")),
        weak=frozenset(i for i, h in enumerate(heads) if h in quality and quality[h].weak),
    )


def _cells(board: Leaderboard, column: Column, interval: bool) -> list[str]:
    mean = board.mean(column)
    if column.gate is not None:
        return [EMPTY if np.isnan(m) else "pass" if column.passes(m) else "fail" for m in mean]
    low = high = np.full(len(mean), np.nan)
    if interval:
        low, high = board.interval(column)
    return [with_interval(*v, bounded=column.bounded) for v in zip(mean, low, high, strict=True)]


def main_columns(board: Leaderboard) -> list[str]:
    """The primary column, the other main ones that were measured, the gates, seconds and passes."""
    names = [c.name for c in board.columns if main_stem(c.name) in MAIN_COLUMNS and c.gate is None]
    if board.primary and board.primary.name not in names:
        names.insert(0, board.primary.name)
    return [*names, *(c.name for c in board.columns if c.gate is not None), *_COST]


def all_columns(board: Leaderboard) -> list[str]:
    """Every metric, seconds and passes."""
    return [*(c.name for c in board.columns), *_COST]


def heading(board: Leaderboard) -> str:
    """What the table is about, in one line."""
    by = f" · by mean rank on {board.primary.name}" if board.primary else ""
    return f"{subject(board)}{by}"


def subject(board: Leaderboard) -> str:
    """Which images, network and target, in one line."""
    images = f"{len(board.cases)} image{'s' * (len(board.cases) != 1)}"
    return f"{board.dataset} {board.split} · {board.model} · target {board.target} · {images}"


def notes(board: Leaderboard, columns: Sequence[str], quality: Mapping[str, Quality]) -> list[str]:
    """What a reader must know to read the columns shown: intervals, groups, chance, gates, weak metrics."""
    lines = []
    if len(board.cases) > 1:
        lines.append("[ ]: 95 % bootstrap interval of the mean over images.")
    if board.seeds > 1:
        lines.append(
            f"Maps were made with up to {board.seeds} seeds: a value is the mean over them, and {EMPTY} where one of "
            "them lacks the score."
        )
    tests = board.comparison
    if tests.letters:
        first = "" if tests.friedman_p is None else f"Friedman p = {tests.friedman_p:.2g}, then "
        lines.append(f"group: methods that share a letter cannot be told apart ({first}Wilcoxon with Holm, α = .05).")
    else:
        lines.append(f"No groups: {tests.reason}.")
    if any(np.isfinite(q.chance_lo) for q in quality.values()):
        lines.append(
            "chance: where the mean of a method lies by chance, from its maps against masks rotated and mirrored "
            "(2.5–97.5 % of methods and turns)."
        )
    gates = [c for c in board.columns if c.gate is not None and c.name in columns]
    lines += [f"{c.name} is a gate: a method passes with a mean {condition(c)}." for c in gates]
    fills = [c for c in board.columns if without_fill(c.name) == "srg"]
    agreement = {pair: tau for pair, tau in board.agreement(fills).items() if tau is not None}
    if agreement:
        shown = ", ".join(f"{a} and {b} {number(tau)}" for (a, b), tau in agreement.items())
        lines.append(f"Rank agreement between fills (Kendall τ): {shown}.")
    lines += _weak(quality)
    if board.primary and any(r.rank is None and not r.control for r in board.rows):
        lines.append(f"{EMPTY}: a score is missing on at least one image; without {board.primary.name}, no rank.")
    if any(r.control for r in board.rows):
        lines.append("The last block are controls, which are not ranked.")
    return lines


def condition(column: Column) -> str:
    """Which means pass a gate, such as "of .5 or less"."""
    gate = f"{column.gate:.3g}".replace("0.", ".", 1) if abs(column.gate or 0) < 1 else f"{column.gate:.3g}"
    if column.better == "zero":
        return f"within ±{gate.lstrip('-')}"
    return f"of {gate} or {'less' if column.better == 'lower' else 'more'}"


def _weak(quality: Mapping[str, Quality]) -> list[str]:
    """Which columns are printed grey, and why."""
    weak = [q for q in quality.values() if q.weak]
    lines = []
    if unstable := [q.metric for q in weak if q.alpha < WEAK_ALPHA]:
        lines.append(f"Ranks differ from image to image (Krippendorff α below .1): {', '.join(unstable)}.")
    if blind := [q.metric for q in weak if q.tells == NO]:
        lines.append(f"Does not tell {NOISE} from {TRUTH} (Wilcoxon p > .05): {', '.join(blind)}.")
    if wrong := [q.metric for q in weak if q.tells == WRONG]:
        lines.append(f"Prefers {NOISE} to {TRUTH}: {', '.join(wrong)}.")
    if any(q.tells == FEW for q in quality.values()):
        lines.append(f"Too few images to tell whether a metric knows {NOISE} from {TRUTH}.")
    return lines
