"""Label placement: names beside points, where they cover little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY, FAINT = "#8a8a8a", "#b4b4b4"
SIZE = 8.5  # of the letters, pt
_ACROSS = (7, 16, 28, 44, 64)  # offsets of a name from its point, pt
_UP = (-5, 4, -14, 14, -25, 25, -37, 37, -49, 49, -65, 65)
_ALONG = np.linspace(0.15, 1, 24)[:, None]  # points on the line from a point to its name, as shares of its length
_NO_LINE = np.zeros((0, 2))


@dataclass(frozen=True)
class _Spot:
    """A place for a name.

    Attributes:
        side: the side of the name that faces the point.
        dx, dy: offset from the point, pt.
        box: (4,) left, bottom, right and top of what the name covers, pt.
        line: (n, 2) points on the line to its point; none if the name is near.
    """

    side: str
    dx: float
    dy: float
    box: np.ndarray
    line: np.ndarray


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
    frame = np.array(ax.get_window_extent().extents) * scale
    markers = np.concatenate([at - 4, at + 4], axis=1)
    named = [n for n, (_, _, name) in enumerate(points) if name]
    chosen: dict[int, _Spot] = {}
    for n in [*named, *named]:
        others = [spot for m, spot in chosen.items() if m != n]
        boxes = np.vstack([np.delete(markers, n, 0), *(spot.box for spot in others)])
        lines = np.concatenate([_NO_LINE, *(spot.line for spot in others)])
        chosen[n] = min(_spots(at[n], points[n][2]), key=lambda spot: _cost(spot, boxes, lines, frame))
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
            arrowprops=line if len(spot.line) else None,
        )


def _spots(at: np.ndarray, name: str) -> list[_Spot]:
    """The candidates for a name, near ones first; ``at``: (2,) the point, pt."""
    size = np.array([0.56 * len(name), 1.15]) * SIZE
    spots = []
    for dx, dy, (side, sign) in product(_ACROSS, _UP, (("left", 1), ("right", -1))):
        corner = np.add(at, (sign * dx, dy)) - (size * (1, 0) if side == "right" else 0)
        near = dx == _ACROSS[0] and dy in _UP[:2]
        line = _NO_LINE if near else at + _ALONG * (sign * dx, dy + size[1] / 2)
        spots.append(_Spot(side, sign * dx, dy, np.concatenate([corner, corner + size]), line))
    return spots


def _cost(spot: _Spot, boxes: np.ndarray, lines: np.ndarray, frame: np.ndarray) -> float:
    """The area that a name covers or that lies outside the frame, pt², plus crossings of lines and the distance.

    Args:
        spot: the place.
        boxes: (n, 4) of the other points and names.
        lines: (m, 2) points on the lines to other names.
        frame: (4,) of the axes.
    """
    covered = _shared(spot.box, boxes).sum()
    crossed = _inside(spot.line[:, None], boxes).sum() + _inside(lines, spot.box).sum()
    outside = _shared(spot.box, spot.box) - _shared(spot.box, frame)
    distance = abs(spot.dx) - _ACROSS[0] + abs(spot.dy + SIZE / 2)
    return float(3 * covered + 12 * crossed + 3 * outside + distance)


def _inside(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return np.asarray(((boxes[..., :2] <= points) & (points <= boxes[..., 2:])).all(-1))


def _shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area that two boxes have in common."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.asarray(np.maximum(sides, 0).prod(-1))
