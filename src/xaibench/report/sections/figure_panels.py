"""The figures of one leaderboard on a page: each drawn as SVG, with a caption and a text alternative."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.run_results import Result
from xaibench.leaderboard.tables.numbers import listed, number
from xaibench.report import figures
from xaibench.report.html.svg import drawn
from xaibench.report.selection import METHODS_RULE, MOST, column_of, shown_methods

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BANDS = f"Lines are means over images, bands hold the middle 80 % of the images. {METHODS_RULE.format(most=MOST)}"


@dataclass(frozen=True)
class FigurePanel:
    """A figure of the page.

    Attributes:
        title: its heading.
        caption: how to read it.
        details: its content in words.
        draw: adds axes to a figure and draws on them.
        size: width and height, inches; a figure wider than 7.4 inches takes the whole width of the page.
    """

    title: str
    caption: str
    details: str
    draw: Callable[[Figure], object]
    size: tuple[float, float] = (5.4, 4.8)

    def svg(self, name: str) -> Markup:
        """The drawing; ``name`` as of :func:`drawn`."""
        return Markup(drawn(self.draw, self.size, name))  # matplotlib has escaped its texts


def removal_panel(result: Result) -> FigurePanel | None:
    """Deletion and insertion side by side; None if neither was measured."""
    caption = (
        "while the pixels that a map marks most are removed (deletion), a map that shows what the network uses makes "
        "the line fall early; while they are put back (insertion), it rises early. 1 is the whole image, 0 the emptied "
        "one."
    )
    return _curves(result, "Removal curves", ("deletion", "insertion"), caption)


def response_panel(result: Result) -> FigurePanel | None:
    """Caliber and contrast response side by side; None if neither was measured."""
    caption = (
        "the height is the attribution that vessels of that width (left) or contrast (right) hold, divided by what "
        "their area would hold by chance, which is the grey line at 1. A flat line is even-handed; a line that rises "
        "favours wide, or clearly visible, vessels."
    )
    return _curves(result, "Response curves", ("caliber-response", "contrast-response"), caption)


def _curves(result: Result, title: str, stems: Sequence[str], caption: str) -> FigurePanel | None:
    board = result.board
    columns = {s: column for s in stems if (column := column_of(board, s)) is not None}
    if not columns:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(columns), squeeze=False)[0]
        for ax, stem in zip(axes, columns, strict=True):
            figures.curves(ax, result, stem)
        lines, labels = axes[0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside lower center", ncols=3 if len(columns) > 1 else 2)

    size = (4.9 * len(columns), 3.5 + 0.22 * -(-len(shown_methods(board)) // 3))
    return FigurePanel(title, f"{caption} {_BANDS}", _means(board, columns.values()), draw, size)


def thin_thick_panel(result: Result) -> FigurePanel | None:
    """Thin against thick vessels; None if no metric was measured on both."""
    board = result.board
    pair = figures.thin_and_thick(board)
    if pair is None:
        return None
    caption = (
        f"one point per method, {pair[0].name} across and {pair[1].name} up. Up and right is better. On the line a "
        "method is as good on thin vessels as on thick ones; above it, it is better on thick ones. Open grey circles "
        "are controls."
    )
    draw = lambda figure: figures.thin_against_thick(figure.add_subplot(), board, pair)
    return FigurePanel("Thin against thick vessels", caption, _means(board, pair), draw)


def cost_panel(result: Result) -> FigurePanel | None:
    """Cost against faithfulness; None if no method has both."""
    board = result.board
    front = figures.pareto(board)
    if board.primary is None or not front:
        return None
    caption = (
        f"further left is quicker, higher is more faithful ({board.primary.name}). The grey steps join the methods "
        "that no other method beats at the same cost or less; a method below and to the right of them costs more than "
        "necessary. Open grey circles are controls."
    )
    names = listed([board.rows[i].method for i in front])
    alt = f"From the quickest to the most faithful, unbeaten at their cost: {names}."
    draw = lambda figure: figures.cost_against_faithfulness(figure.add_subplot(), board)
    return FigurePanel("Cost against faithfulness", caption, alt, draw)


def difference_panel(result: Result) -> FigurePanel | None:
    """The critical-difference diagram; None with fewer than two ranked methods or images."""
    board = result.board
    names, ranks, difference = board.critical_difference()
    if len(names) < 2 or len(board.cases) < 2 or board.primary is None:
        return None
    caption = (
        f"each method's mean rank over images on {board.primary.name}, the best at the left. A thick bar joins methods "
        f"whose mean ranks differ by less than the critical difference, {difference:.2f}: Nemenyi's test cannot tell "
        "them apart (Demšar 2006). It is stricter than the letters of the table, which compare pairs."
    )
    alt = f"Mean ranks: {', '.join(f'{n} {r:.2f}' for n, r in zip(names, ranks, strict=True))}."
    draw = lambda figure: figures.critical_difference(figure.add_subplot(), board)
    size = (9.6, 1.2 + 0.24 * ((len(names) + 1) // 2))
    return FigurePanel("Critical differences", caption, alt, draw, size)


def agreement_panel(result: Result) -> FigurePanel | None:
    """The rank agreement between metrics; None with fewer than two of them."""
    board = result.board
    columns = figures.agreeing(board)
    if len(columns) < 2:
        return None
    caption = (
        "Kendall's τ between the rankings of the methods by two metrics, the better direction up. Orange: they agree; "
        "white: they are unrelated; purple: they rank in opposite order. A verdict on a block of orange does not "
        "depend on one metric."
    )
    side = min(9.6, 3.2 + 0.27 * len(columns))
    draw = lambda figure: figures.agreement(figure.add_subplot(), board, columns)
    return FigurePanel("Agreement of the metrics", caption, _extremes(board, columns), draw, (side + 0.8, side))


PANELS: tuple[Callable[[Result], FigurePanel | None], ...] = (
    response_panel,
    thin_thick_panel,
    cost_panel,
    difference_panel,
    agreement_panel,
)


def _extremes(board: Leaderboard, columns: Sequence[Column]) -> str:
    """The metrics that agree most and least."""
    taus = {pair: tau for pair, tau in board.agreement(columns).items() if tau is not None}
    if not taus:
        return "No two metrics can be compared."
    most, least = (
        f"{a} and {b} ({number(taus[a, b])})"
        for a, b in (max(taus, key=taus.__getitem__), min(taus, key=taus.__getitem__))
    )
    return f"{len(columns)} metrics. Most alike: {most}; least alike: {least}."


def _means(board: Leaderboard, columns: Iterable[Column]) -> str:
    """The means of the methods that are drawn."""
    parts = []
    for column in columns:
        means = dict(zip((r.method for r in board.rows), board.mean(column), strict=True))
        texts = (f"{m} {number(means[m], bounded=column.bounded)}" for m in shown_methods(board))
        parts.append(f"{column.name}, mean: {', '.join(texts)}.")
    return " ".join(parts)
