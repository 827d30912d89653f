"""Label placement: names beside points, where they cover little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY, FAINT = "#8a8a8a", "#b4b4b4"
SIZE = 8.5  # of the letters, pt
_ACROSS = (7, 16, 28, 44, 64)  # offsets of a name from its point, pt
_UP = (-5, 4, -14, 14, -25, 25, -37, 37, -49, 49, -65, 65)
_ALONG = np.linspace(0.15, 1, 24)  # points on the line from a point to its name, as shares of its length

_Box = tuple[float, float, float, float]  # left, bottom, right, top, pt
_Point = tuple[float, float]


@dataclass(frozen=True)
class _Spot:
    """A place for a name.

    Attributes:
        side: the side of the name that faces the point.
        dx, dy: offset from the point, pt.
        box: what the name covers.
        line: points on the line to its point; empty if the name is near.
    """

    side: str
    dx: float
    dy: float
    box: _Box
    line: tuple[_Point, ...]


def place_names(ax: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write each name where it covers the least of other points and names.

    Greedy, in two passes: in the first, early names do not know the later ones.

    Args:
        ax: the axes with the points.
        points: x and y in data coordinates, and the name, which may be empty.
    """
    figure = ax.get_figure(root=True)
    if figure is None or not points:
        return
    figure.draw_without_rendering()
    scale = 72 / figure.dpi
    at = ax.transData.transform([(x, y) for x, y, _ in points]) * scale
    extent = ax.get_window_extent()
    frame = (extent.x0 * scale, extent.y0 * scale, extent.x1 * scale, extent.y1 * scale)
    markers = [(px - 4, py - 4, px + 4, py + 4) for px, py in at]
    named = [n for n, (_, _, name) in enumerate(points) if name]
    chosen: dict[int, _Spot] = {}
    for n in [*named, *named]:
        others = [spot for m, spot in chosen.items() if m != n]
        rest = markers[:n] + markers[n + 1 :]
        chosen[n] = min(_spots(tuple(at[n]), points[n][2]), key=lambda spot: _cost(spot, rest, others, frame))
    for n, spot in chosen.items():
        x, y, name = points[n]
        edge = (0 if spot.side == "left" else 1, 0.5)
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3, "relpos": edge}
        ax.annotate(
            *(name, (x, y), (spot.dx, spot.dy)),
            textcoords="offset points",
            fontsize=SIZE,
            ha=spot.side,
            va="bottom",
            arrowprops=line if spot.line else None,
        )


def _spots(at: _Point, name: str) -> list[_Spot]:
    """The candidates for a name, near ones first."""
    width, height = 0.56 * SIZE * len(name), 1.15 * SIZE
    spots = []
    for dx in _ACROSS:
        for dy in _UP:
            near = dx == _ACROSS[0] and dy in _UP[:2]
            for side, sign in (("left", 1), ("right", -1)):
                left, bottom = at[0] + sign * dx - (width if side == "right" else 0), at[1] + dy
                ends = (sign * dx, dy + height / 2)
                line = () if near else tuple((at[0] + t * ends[0], at[1] + t * ends[1]) for t in _ALONG.tolist())
                spots.append(_Spot(side, sign * dx, dy, (left, bottom, left + width, bottom + height), line))
    return spots


def _cost(spot: _Spot, markers: Sequence[_Box], others: Sequence[_Spot], frame: _Box) -> float:
    """The area that a name covers or that lies outside the frame, pt², plus crossings of lines and the distance."""
    covered = sum(_shared(spot.box, box) for box in [*markers, *(o.box for o in others)])
    crossed = sum(_inside(p, box) for box in [*markers, *(o.box for o in others)] for p in spot.line)
    crossed += sum(_inside(p, spot.box) for o in others for p in o.line)
    outside = (spot.box[2] - spot.box[0]) * (spot.box[3] - spot.box[1]) - _shared(spot.box, frame)
    distance = abs(spot.dx) - _ACROSS[0] + abs(spot.dy + SIZE / 2)
    return 3 * covered + 12 * crossed + 3 * outside + distance


def _inside(point: _Point, box: _Box) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _shared(a: _Box, b: _Box) -> float:
    """The area that two boxes have in common."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
