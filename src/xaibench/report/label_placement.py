"""Names beside points, where they cover little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY, FAINT = "#8a8a8a", "#b4b4b4"
SIZE = 8.5  # of the letters, pt


def place_names(ax: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Each name beside its point, where it covers least of the other points and names.

    Twice over, since the first names did not know of the later ones.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()
    scale = 72 / figure.dpi
    at = ax.transData.transform([(x, y) for x, y, _ in points]) * scale if points else np.zeros((0, 2))
    extent = ax.get_window_extent()
    frame = (extent.x0 * scale, extent.y0 * scale, extent.x1 * scale, extent.y1 * scale)
    markers = [(px - 4, py - 4, px + 4, py + 4) for px, py in at]
    named = [n for n, (_, _, name) in enumerate(points) if name]
    chosen: dict[int, _Spot] = {}
    for n in [*named, *named]:
        spots = _spots(tuple(at[n]), points[n][2])
        others = [spot for m, spot in chosen.items() if m != n]
        rest = markers[:n] + markers[n + 1 :]
        chosen[n] = min(spots, key=lambda spot: _cost(spot, rest, others, frame))
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


_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Spot:
    """Where a name may stand: its offset from the point, the side that it begins on, its box, its line's points."""

    side: str
    dx: float
    dy: float
    box: _Box
    line: tuple[tuple[float, float], ...]

    @property
    def far(self) -> float:
        """How far from the point it begins, beyond the nearest that it can, pt."""
        return abs(self.dx) - 7 + abs(self.dy + SIZE / 2)


def _spots(at: tuple[float, float], name: str) -> list[_Spot]:
    width, height = 0.56 * SIZE * len(name), 1.15 * SIZE
    found = []
    for dx in (7, 16, 28, 44, 64):
        for dy in (-5, 4, -14, 14, -25, 25, -37, 37, -49, 49, -65, 65):
            for side, sign in (("left", 1), ("right", -1)):
                left = at[0] + sign * dx - (width if side == "right" else 0)
                box = (left, at[1] + dy, left + width, at[1] + dy + height)
                near = dx == 7 and dy in (-5, 4)
                ends = (sign * dx, dy + height / 2)
                line = () if near else tuple((at[0] + t * ends[0], at[1] + t * ends[1]) for t in _ALONG)
                found.append(_Spot(side, sign * dx, dy, box, line))
    return found


_ALONG = tuple(np.linspace(0.15, 1, 24).tolist())


def _cost(spot: _Spot, markers: Sequence[_Box], others: Sequence[_Spot], frame: _Box) -> float:
    """What a name covers, pt², and what its line and those of others cross, with how far it stands from its point."""
    covered = sum(_shared(spot.box, box) for box in [*markers, *(o.box for o in others)])
    crossed = sum(_inside(p, o.box) for o in others for p in spot.line)
    crossed += sum(_inside(p, spot.box) for o in others for p in o.line)
    crossed += sum(_inside(p, m) for m in markers for p in spot.line)
    outside = (spot.box[2] - spot.box[0]) * (spot.box[3] - spot.box[1]) - _shared(spot.box, frame)
    return 3 * covered + 12 * crossed + 3 * outside + spot.far


def _inside(point: tuple[float, float], box: _Box) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _shared(a: _Box, b: _Box) -> float:
    """The area that two boxes have in common."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
