"""The figures of one leaderboard as a page shows them: drawn, with a caption and with words for who cannot see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.run_results import Result
from xaibench.leaderboard.tables.numbers import listed, number
from xaibench.report import figures
from xaibench.report.html.svg import drawn
from xaibench.report.selection import METHODS_RULE, MOST, column_of, shown_methods

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULE = METHODS_RULE.format(most=MOST)
BAND = "Lines are means over images, bands hold the middle 80 % of the images."


def removal_plate(result: Result, name: str) -> dict[str, Any] | None:
    """Deletion and insertion side by side; None where neither was measured."""
    stems = [s for s in ("deletion", "insertion") if column_of(result.board, s)]
    if not stems:
        return None
    caption = (
        "How to read it: while the pixels that a map marks most are removed (deletion), a map that shows what the "
        "network uses makes the line fall early; while they are put back (insertion), it rises early. 1 is the whole "
        f"image, 0 the emptied one. {BAND} {RULE}"
    )
    return _plate(name, caption, _along(result, stems, name), _said(result.board, stems), "Removal curves")


def response_plate(result: Result, name: str) -> dict[str, Any] | None:
    """Caliber and contrast response side by side; None where neither was measured."""
    stems = [s for s in ("caliber-response", "contrast-response") if column_of(result.board, s)]
    if not stems:
        return None
    caption = (
        "How to read it: the height is how many times more attribution vessels of that width (left) or contrast "
        "(right) hold than their area would by chance, which is the grey line at 1. A flat line is even-handed; a "
        f"line that rises favours wide, or clearly visible, vessels. {BAND} {RULE}"
    )
    return _plate(name, caption, _along(result, stems, name), _said(result.board, stems), "Response curves")


def thin_thick_plate(board: Leaderboard, name: str) -> dict[str, Any] | None:
    """Thin against thick."""
    pair = figures.thin_and_thick(board)
    if pair is None:
        return None
    caption = (
        f"How to read it: one point per method, {pair[0].name} across and {pair[1].name} up. Up and right is better. "
        "On the line a method is as good on thin vessels as on thick ones; above it, it is better on thick ones. Open "
        "grey circles are controls."
    )
    svg = drawn(lambda f: figures.thin_against_thick(f.add_subplot(), board), (5.4, 4.8), name)
    return _plate(name, caption, svg, _said(board, [c.name for c in pair]), "Thin against thick vessels")


def cost_plate(board: Leaderboard, name: str) -> dict[str, Any] | None:
    """Cost against faithfulness."""
    front = figures.pareto(board)
    if board.primary is None or not front:
        return None
    names = [board.rows[i].method for i in front]
    caption = (
        f"How to read it: further left is quicker, higher is more faithful ({board.primary.name}). The grey steps join "
        "the methods that no other one beats at the same cost or less; what lies below and to the right of them costs "
        "more than it needs to. Open grey circles are controls."
    )
    svg = drawn(lambda f: figures.cost_against_faithfulness(f.add_subplot(), board), (5.4, 4.8), name)
    alt = f"From the quickest to the most faithful, unbeaten at their cost: {listed(names)}."
    return _plate(name, caption, svg, alt, "Cost against faithfulness")


def difference_plate(board: Leaderboard, name: str) -> dict[str, Any] | None:
    """The critical-difference diagram; None with fewer than two ranked methods or images."""
    names, ranks, difference = board.critical_difference()
    if len(names) < 2 or len(board.cases) < 2 or board.primary is None:
        return None
    caption = (
        f"How to read it: each method's mean rank over images on {board.primary.name}, the best at the left. A thick "
        f"bar joins methods whose mean ranks differ by less than the critical difference, {difference:.2f}: Nemenyi's "
        "test cannot tell them apart (Demšar 2006). It is stricter than the letters of the table, which compare pairs."
    )
    height = 1.2 + 0.24 * ((len(names) + 1) // 2)
    svg = drawn(lambda f: figures.critical_difference(f.add_subplot(), board), (9.6, height), name)
    alt = f"Mean ranks: {', '.join(f'{n} {r:.2f}' for n, r in zip(names, ranks, strict=True))}."
    return _plate(name, caption, svg, alt, "Critical differences", wide=True)


def agreement_plate(board: Leaderboard, name: str) -> dict[str, Any] | None:
    """Which metrics rank the methods alike; None with fewer than two of them."""
    columns = figures.agreeing(board)
    if len(columns) < 2:
        return None
    caption = (
        "How to read it: Kendall's τ between the orders in which two metrics rank the methods, the better end up. "
        "Orange: they agree; white: they have nothing to do with each other; purple: what one calls good the other "
        "calls bad. A verdict that holds on a block of orange does not hang on one metric."
    )
    side = min(9.6, 3.2 + 0.27 * len(columns))
    svg = drawn(lambda f: figures.agreement(f.add_subplot(), board, columns), (side + 0.8, side), name)
    return _plate(name, caption, svg, _agreed(board, columns), "Agreement of the metrics", wide=len(columns) > 12)


def _agreed(board: Leaderboard, columns: Sequence[Column]) -> str:
    taus = {pair: t for pair, t in board.agreement(columns).items() if t is not None}
    if not taus:
        return "No two metrics can be compared."
    most, least = max(taus, key=lambda p: taus[p]), min(taus, key=lambda p: taus[p])
    say = lambda pair: f"{pair[0]} and {pair[1]} ({number(taus[pair])})"
    return f"{len(columns)} metrics. Most alike: {say(most)}; least alike: {say(least)}."


def _along(result: Result, stems: Sequence[str], name: str) -> str:
    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(stems), squeeze=False)[0]
        for ax, stem in zip(axes, stems, strict=True):
            figures.curves(ax, result, stem)
        lines, labels = axes[0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside lower center", ncols=3 if len(stems) > 1 else 2)

    rows = -(-len(shown_methods(result.board)) // 3)
    return drawn(draw, (4.9 * len(stems), 3.5 + 0.22 * rows), name)


def _said(board: Leaderboard, stems: Sequence[str]) -> str:
    """The means of what is drawn."""
    parts = []
    for stem in stems:
        column = column_of(board, stem) or board.column(stem)
        if column is not None:
            means = dict(zip((r.method for r in board.rows), board.mean(column), strict=True))
            shown = ", ".join(f"{m} {number(means[m], bounded=column.bounded)}" for m in shown_methods(board))
            parts.append(f"{column.name}, mean: {shown}.")
    return " ".join(parts)


def _plate(name: str, caption: str, svg: str, alt: str, title: str, *, wide: bool = False) -> dict[str, Any]:
    return {"name": name, "title": title, "caption": caption, "svg": svg, "alt": f"{title}. {alt}", "wide": wide}


PLATES: tuple[Callable[[Leaderboard, str], dict[str, Any] | None], ...] = (
    thin_thick_plate,
    cost_plate,
    difference_plate,
    agreement_plate,
)
