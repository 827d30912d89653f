"""The leaderboard as a table of text: its cells, its heading and its notes."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from xaibench.errors import plural
from xaibench.leaderboard.leaderboard import Column, Leaderboard, Row
from xaibench.leaderboard.statistics import metric_quality
from xaibench.leaderboard.statistics.metric_quality import NOISE, TRUTH, Quality
from xaibench.leaderboard.tables.formats import GAP, split_head
from xaibench.leaderboard.tables.numbers import EMPTY, band, number, with_interval
from xaibench.leaderboard.tables.sheet import Sheet

_COST = ("seconds", "passes")


def leaderboard_sheet(board: Leaderboard, *, wide: bool = False, width: int | None = None) -> Sheet:
    """The table of a leaderboard.

    Args:
        board: the leaderboard.
        wide: all columns instead of the main ones.
        width: of a terminal, characters: intervals are printed for the primary column alone, and columns that may be
            dropped are left out until the table fits. None: all intervals and columns.
    """
    names = all_columns(board) if wide else main_columns(board)
    # Cells by the column's name; the last cell of each column is that of the foot.
    cells: dict[str, list[str]] = {
        "#": [*map(rank_text, board.rows), ""],
        "method": [*(r.method for r in board.rows), "chance"],
        "group": [*(r.group for r in board.rows), ""],
    }
    cells |= {name: cells_of(board, name, intervals=width is None) for name in names}
    optional = [n for n in ("#", "group", *_COST) if not any(c.strip(EMPTY) for c in cells[n][:-1])]
    cells = {name: column for name, column in cells.items() if name not in optional}
    heads = {name: column.label if (column := board.column(name)) else name for name in cells}
    dropped = [] if width is None else _columns_to_drop(board, heads, cells, width)
    cells = {name: column for name, column in cells.items() if name not in dropped}

    *lines, foot = [list(line) for line in zip(*cells.values(), strict=True)]
    methods = int(board.is_method.sum())
    quality = {name: q for name, q in metric_quality.qualities(board).items() if name in cells}
    text = notes(board, cells, quality)
    if width is not None and (more := len(all_columns(board)) - len(names) + len(dropped)):
        text.insert(0, f"{plural(more, 'more column')} with --wide, and in the formats csv and json.")
    return Sheet(
        subject(board) + (f" · by mean rank on {board.primary.name}" if board.primary else ""),
        [heads[name] for name in cells],
        lines[:methods],
        text,
        lines[methods:],
        foot if any(c for c in foot if c != "chance") else [],
        left=frozenset(i for i, name in enumerate(cells) if name in ("method", "group")),
        weak=frozenset(i for i, name in enumerate(cells) if name in quality and quality[name].weak),
    )


def rank_text(row: Row) -> str:
    """The rank of a row; empty for a control."""
    return str(row.rank or ("" if row.control else EMPTY))


def cells_of(board: Leaderboard, name: str, *, intervals: bool = True) -> list[str]:
    """The cells of a metric or cost, one per row, then that of the foot: the band of chance, if there is one.

    Args:
        board: the leaderboard.
        name: of the column.
        intervals: whether columns other than the primary one have them.
    """
    column = board.column(name)
    if column is None:
        costs = [getattr(r, name) for r in board.rows]
        return [*(f"{c:.0f}" if name == "passes" and c.is_integer() else number(c) for c in costs), ""]
    mean = board.mean(column)
    if column.gate is not None:
        return [*(EMPTY if np.isnan(m) else "pass" if column.passes(m) else "fail" for m in mean), ""]
    low = high = np.full(len(mean), np.nan)
    if intervals or column == board.primary:
        low, high = board.interval(column)
    ends = board.chance(column) or (np.nan, np.nan)
    return [*(with_interval(*v, bounded=column.bounded) for v in zip(mean, low, high, strict=True)), band(*ends)]


def _columns_to_drop(
    board: Leaderboard, heads: Mapping[str, str], cells: Mapping[str, Sequence[str]], width: int
) -> list[str]:
    """The columns to leave out of a table with these cells so that it is at most ``width`` characters wide.

    Passes go first, then the main columns that may be dropped, the last of them first, then seconds.
    """
    widths = {name: max(map(len, (*split_head(heads[name]), *cells[name]))) + len(GAP) for name in cells}
    excess = sum(widths.values()) - len(GAP) - width
    metrics = [c.name for c in reversed(board.columns) if c.narrow and c.gate is None and c != board.primary]
    dropped: list[str] = []
    for name in ("passes", *metrics, "seconds"):
        if excess > 0 and name in widths:
            dropped.append(name)
            excess -= widths[name]
    return dropped


def main_columns(board: Leaderboard) -> list[str]:
    """The primary column, the other main columns of the run, the gates, seconds and passes."""
    shown = [c for c in board.columns if c.gate is None and (c.main is not None or c == board.primary)]
    names = [c.name for c in sorted(shown, key=lambda c: c != board.primary)]
    return [*names, *(c.name for c in board.columns if c.gate is not None), *_COST]


def all_columns(board: Leaderboard) -> list[str]:
    """Every metric, seconds and passes."""
    return [*(c.name for c in board.columns), *_COST]


def subject(board: Leaderboard) -> str:
    """Images, network and target in one line."""
    images = plural(len(board.cases), "image")
    return f"{board.dataset} {board.split} · {board.model} · target {board.target} · {images}"


def notes(board: Leaderboard, columns: Collection[str], quality: Mapping[str, Quality]) -> list[str]:
    """The sentences under a table: intervals, groups, chance level, gates and weak metrics.

    Args:
        board: the leaderboard.
        columns: the names of the columns shown.
        quality: of these columns.
    """
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
    fills = [c for c in board.columns if metric_quality.without_fill(c.name) == "srg"]
    agreement = {pair: tau for pair, tau in board.agreement(fills).items() if tau is not None}
    if agreement:
        pairs = ", ".join(f"{a} and {b} {number(tau)}" for (a, b), tau in agreement.items())
        lines.append(f"Rank agreement between fills (Kendall τ): {pairs}.")
    lines += _weak_columns(quality)
    if board.primary and any(r.rank is None and not r.control for r in board.rows):
        lines.append(f"{EMPTY}: a score is missing on at least one image; without {board.primary.name}, no rank.")
    if any(r.control for r in board.rows):
        lines.append("The last block are controls, which are not ranked.")
    return lines


def condition(column: Column) -> str:
    """The means that pass a gate, such as "of .5 or less"."""
    gate = f"{column.gate:.3g}".replace("0.", ".", 1) if abs(column.gate or 0) < 1 else f"{column.gate:.3g}"
    if column.better == "zero":
        return f"within ±{gate.lstrip('-')}"
    return f"of {gate} or {'less' if column.better == 'lower' else 'more'}"


def _weak_columns(quality: Mapping[str, Quality]) -> list[str]:
    """The columns printed grey, with the reason."""
    weak = [q for q in quality.values() if q.weak]
    lines = []
    if unstable := [q.metric for q in weak if q.alpha < metric_quality.WEAK_ALPHA]:
        lines.append(f"Ranks differ from image to image (Krippendorff α below .1): {', '.join(unstable)}.")
    if blind := [q.metric for q in weak if q.tells == metric_quality.NO]:
        lines.append(f"Does not tell {NOISE} from {TRUTH} (Wilcoxon p > .05): {', '.join(blind)}.")
    if wrong := [q.metric for q in weak if q.tells == metric_quality.WRONG]:
        lines.append(f"Prefers {NOISE} to {TRUTH}: {', '.join(wrong)}.")
    if any(q.tells == metric_quality.FEW for q in quality.values()):
        lines.append(f"Too few images to tell whether a metric knows {NOISE} from {TRUTH}.")
    return lines
