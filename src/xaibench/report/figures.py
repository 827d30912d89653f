"""The figures of a run, each drawn on given axes; a module that loads no matplotlib until something is drawn.

Methods have the colours of Okabe and Ito [okabe2008], which people with any kind of colour vision can distinguish, and
a marker each. Controls are grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xaibench.leaderboard.default_columns import main_stem
from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.run_results import Result
from xaibench.leaderboard.tables.numbers import number
from xaibench.report.label_placement import FAINT, GREY, place_names
from xaibench.report.selection import CONTROLS, column_of, shown_methods

if TYPE_CHECKING:
    from matplotlib import RcParams
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#9a8700", "#7f5fb0")
MARKERS = "osD^vPX*"
DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "--",
    ":",
    "-.",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (1, 3)),
    (0, (8, 3)),
)
CURVE_LABELS = {
    "deletion": ("share of the field of view removed, most attributed first", "target score, 1: whole image"),
    "insertion": ("share of the field of view put back, most attributed first", "target score, 1: whole image"),
    "caliber-response": ("vessel width, px at DRIVE's scale", "attribution ÷ chance"),
    "contrast-response": ("local contrast of the vessel", "attribution ÷ chance"),
}


class Look(NamedTuple):
    """How a method is drawn: the arguments of ``Axes.plot`` for its line."""

    color: str
    linestyle: str | tuple[int, tuple[int, ...]]
    marker: str


def style(ink: str = "black") -> RcParams:
    """Matplotlib's settings for drawing and saving a figure, with text and axes in a colour."""
    import matplotlib as mpl

    settings = mpl.rc_params_from_file(Path(__file__).with_name("figures.mplstyle"), use_default_template=False)
    for name in ("text.color", "xtick.color", "ytick.color", "axes.edgecolor", "axes.labelcolor"):
        settings[name] = ink
    return settings


def looks(board: Leaderboard) -> dict[str, Look]:
    """Colour, line and marker of each method and control.

    The controls that every figure shows come first, so that their lines always differ.
    """
    plain = [r.method for r in board.rows if not r.control]
    controls = sorted((r.method for r in board.rows if r.control), key=lambda m: m not in CONTROLS)
    styles = {m: Look(GREY, dash, "") for m, dash in zip(controls, cycle(DASHES), strict=False)}
    markers = zip(plain, cycle(COLOURS), cycle(MARKERS), strict=False)
    return styles | {m: Look(colour, "-", marker) for m, colour, marker in markers}


def curves(ax: Axes, result: Result, stem: str, methods: Sequence[str] | None = None) -> Axes:
    """Mean curve over images with the band of the middle 80 % of the images, one line per method.

    Args:
        ax: the axes to draw on.
        result: the leaderboard with its records.
        stem: ``"deletion"``, ``"insertion"``, ``"caliber-response"`` or ``"contrast-response"``.
        methods: the lines; None: the first methods of the table and some controls.
    """
    board = result.board
    column = column_of(board, stem)
    chosen = shown_methods(board) if methods is None else list(methods)
    styles = looks(board)
    for m in chosen:
        curve = result.curve(column.name, m) if column is not None else None
        if curve is not None:
            look = styles[m]
            ax.plot(curve.x, curve.mean(), label=m, markevery=max(1, curve.x.size // 6), **look._asdict())
            if look.marker:  # no bands of controls, which would cover each other
                ax.fill_between(curve.x, *curve.band(), color=look.color, alpha=0.13, linewidth=0)
    along, up = CURVE_LABELS[stem]
    ax.set(xlabel=along, ylabel=up, title=main_stem(column.label) if column is not None else stem)
    if stem in ("deletion", "insertion"):
        ax.set(xlim=(0, 1))
        ax.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f} %")
    else:
        ax.axhline(1, color=GREY, linewidth=0.7)
        ax.set(ylim=(0, None))
        ax.locator_params(axis="x", integer=stem == "caliber-response")
    return ax


def thin_against_thick(ax: Axes, board: Leaderboard, pair: tuple[Column, Column]) -> Axes:
    """Each method's mean on thin and on thick vessels; methods above the diagonal are better on thick vessels.

    Args:
        ax: the axes to draw on.
        board: the leaderboard.
        pair: see :func:`thin_and_thick`.
    """
    thin, thick = (board.mean(c) for c in pair)
    both = np.concatenate([thin[np.isfinite(thick)], thick[np.isfinite(thin)]])
    both = both[np.isfinite(both)]
    if both.size:
        pad = 0.06 * float(np.ptp(both) or 1)
        ends = (float(both.min()) - pad, float(both.max()) + pad)
        ax.plot(ends, ends, color=GREY, linewidth=0.7, zorder=0)
        ax.set(xlim=ends, ylim=ends)
    ax.set(xlabel=main_stem(pair[0].label), ylabel=main_stem(pair[1].label))
    _points(ax, board, thin, thick, shown_methods(board))
    return ax


def thin_and_thick(board: Leaderboard) -> tuple[Column, Column] | None:
    """The columns of one metric on thin and on thick vessels; None if no method has both."""
    for stem in ("srg", "auroc", "lift"):
        thin, thick = column_of(board, f"{stem}-thin"), column_of(board, f"{stem}-thick")
        if thin and thick and np.isfinite(board.mean(thin) + board.mean(thick)).any():
            return thin, thick
    return None


def cost_against_faithfulness(ax: Axes, board: Leaderboard) -> Axes:
    """Mean seconds per map against the primary column, with the Pareto front of the methods."""
    if board.primary is None:
        return ax
    seconds = np.array([r.seconds for r in board.rows])
    level = board.mean(board.primary)
    front = pareto(board)
    x, y = [seconds[i] for i in front], [level[i] for i in front]
    ax.plot(x, y, color=GREY, linewidth=1, drawstyle="steps-post", zorder=0)
    named = [*shown_methods(board), *(board.rows[i].method for i in front)]
    ax.set(xscale="log", xlabel="seconds per map", ylabel=main_stem(board.primary.label))
    ax.xaxis.set_major_formatter(lambda v, _: number(v, bounded=False))
    _points(ax, board, np.where(seconds > 0, seconds, np.nan), level, named)
    return ax


def pareto(board: Leaderboard) -> list[int]:
    """The Pareto front: rows of methods that no quicker method equals or beats on the primary column, by seconds."""
    if board.primary is None:
        return []
    level = board.primary.orient(board.mean(board.primary))
    rows = [i for i, r in enumerate(board.rows) if not r.control and np.isfinite(level[i]) and r.seconds > 0]
    front: list[int] = []
    for i in sorted(rows, key=lambda i: (board.rows[i].seconds, -level[i])):
        if not front or level[i] > level[front[-1]]:
            front.append(i)
    return front


def critical_difference(ax: Axes, board: Leaderboard) -> Axes:
    """Mean ranks on a line, the best left; a bar joins methods without a significant difference [demsar2006]."""
    names, ranks, difference = board.critical_difference()
    k = len(names)
    half = (k + 1) // 2
    low, high = 1.0, max(float(k), 2.0)
    bars = _cliques(ranks, difference)
    ax.set(xlim=(low - 0.02 * (high - low), high + 0.02 * (high - low)), ylim=(half + 1.6 + 0.45 * len(bars), -1.6))
    ax.axis("off")
    ink = ax.xaxis.label.get_color()
    ax.plot([low, high], [0, 0], color=ink, linewidth=0.8)
    step = max(1, round((high - low) / 8))
    for tick in range(1, int(high) + 1, step):
        ax.plot([tick, tick], [-0.15, 0], color=ink, linewidth=0.8)
        ax.text(tick, -0.3, str(tick), ha="center", va="bottom")
    width = high - low
    for i, bar in enumerate(bars):
        ends = [ranks[bar[0]] - 0.01 * width, ranks[bar[-1]] + 0.01 * width]
        ax.plot(ends, [0.45 * (i + 1)] * 2, color=ink, linewidth=3.2)
    for i, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        left = i < half
        y = 0.45 * len(bars) + 1 + (i if left else k - 1 - i)
        end = low if left else high
        ax.plot([rank, rank, end], [0, y, y], color=GREY, linewidth=0.7)
        text = f"{name}  {rank:.2f} " if left else f" {rank:.2f}  {name}"
        ax.text(end, y, text, ha="right" if left else "left", va="center", clip_on=False)
    if np.isfinite(difference) and difference <= high - low:
        ax.plot([low, low + difference], [-1.25, -1.25], color=ink, linewidth=1.6)
        ax.text(low + difference, -1.25, f"   critical difference {difference:.2f}", va="center", ha="left")
    return ax


def _cliques(ranks: np.ndarray, difference: float) -> list[list[int]]:
    """The maximal runs of methods, in the order of ranks, that lie within the difference."""
    cliques: list[list[int]] = []
    for i in range(len(ranks)):
        run = [j for j in range(i, len(ranks)) if ranks[j] - ranks[i] <= difference]
        if len(run) > 1 and not (cliques and run[-1] <= cliques[-1][-1]):
            cliques.append(run)
    return cliques


def agreement(ax: Axes, board: Leaderboard, columns: Sequence[Column]) -> Axes:
    """Kendall's τ between each two metrics' rankings of the methods: 1 is the same ranking, −1 the reverse."""
    n = len(columns)
    grid = np.eye(n)
    grid[np.triu_indices(n, 1)] = [np.nan if tau is None else tau for tau in board.agreement(columns).values()]
    grid = np.triu(grid) + np.triu(grid, 1).T
    picture = ax.imshow(grid, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
    size = 8.5 if n <= 16 else 7.5
    names = [main_stem(c.label) for c in columns]
    ax.set_xticks(range(n), names, rotation=55, ha="right", rotation_mode="anchor", fontsize=size)
    ax.set_yticks(range(n), names, fontsize=size)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if n <= 16:
        for (i, j), tau in np.ndenumerate(grid):
            colour = "white" if abs(tau) > 0.6 else "black"
            ax.text(j, i, number(float(tau)), ha="center", va="center", fontsize=7, color=colour)
    ax.figure.colorbar(picture, ax=ax, shrink=0.7, label="Kendall's τ")
    return ax


def agreeing(board: Leaderboard) -> list[Column]:
    """The metrics that rank at least half of the methods, and three or more; without gates, costs and variants."""
    least = max(3, -(-int(board.is_method.sum()) // 2))
    return [
        c
        for c in board.columns
        if c.better != "none" and c.gate is None and c.family != "cost"
        and not any(word in c.name for word in ("fill=", "share=", "segmenter="))
        and np.unique(board.mean(c)[board.is_method & np.isfinite(board.mean(c))]).size >= least
    ]  # fmt: skip


def _points(ax: Axes, board: Leaderboard, x: np.ndarray, y: np.ndarray, labelled: Sequence[str]) -> None:
    """One point per row, with names beside the labelled ones."""
    points, styles = [], looks(board)
    for i, r in enumerate(board.rows):
        if not (np.isfinite(x[i]) and np.isfinite(y[i])):
            continue
        named = r.method in labelled
        points.append((float(x[i]), float(y[i]), r.method if named else ""))
        if r.control:
            ax.plot(x[i], y[i], "o", markerfacecolor="none", color=GREY, markersize=6, zorder=2)
        elif named:
            look = styles[r.method]
            ax.plot(x[i], y[i], look.marker, color=look.color, markersize=7, zorder=3)
        else:
            ax.plot(x[i], y[i], "o", color=FAINT, markersize=5, zorder=1)
    place_names(ax, points)
