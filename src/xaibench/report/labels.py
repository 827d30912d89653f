"""Names beside points, where they cover little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY, FAINT = "#8a8a8a", "#b4b4b4"
SIZE = 8.5  # of the letters, pt


def place_names(ax: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Each name beside its point, where it covers least of the other points and names."""
    figure = ax.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()
    scale = 72 / figure.dpi
    at = ax.transData.transform([(x, y) for x, y, _ in points]) * scale if points else np.zeros((0, 2))
    frame = ax.get_window_extent()
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in at]
    for (x, y, name), (px, py) in zip(points, at, strict=True):
        if not name:
            continue
        width, height = 0.56 * SIZE * len(name), 1.15 * SIZE
        spots = [
            (side, dx, dy)
            for dy in (-5, 4, -14, 14, -25, 25, -37, 37, -49, 49)
            for side, dx in (("left", 7), ("right", -7), ("left", 24), ("right", -24))
        ]
        boxes = []
        for side, dx, dy in spots:
            left = px + dx - (width if side == "right" else 0)
            boxes.append((left, py + dy, left + width, py + dy + height))
        far = [abs(dx) - 7 + abs(dy) for _, dx, dy in spots]
        costs = [
            sum(_shared(box, t) for t in taken) + 3 * _outside(box, frame, scale) + away
            for box, away in zip(boxes, far, strict=True)
        ]
        best = int(np.argmin(costs))
        side, dx, dy = spots[best]
        taken.append(boxes[best])
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
        ax.annotate(
            *(name, (x, y), (dx, dy)),
            textcoords="offset points",
            fontsize=SIZE,
            ha=side,
            va="bottom",
            arrowprops=line if far[best] > 8 else None,
        )


_Box = tuple[float, float, float, float]


def _shared(a: _Box, b: _Box) -> float:
    """The area that two boxes have in common."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: _Box, frame: Any, scale: float) -> float:
    """The area of a box that lies beyond the axes, whose right edge a name must not cross."""
    inside = (frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    return (box[2] - box[0]) * (box[3] - box[1]) - _shared(box, inside)
