"""Label placement: names beside points, where they cover little."""

from __future__ import annotations

from collections.abc import Sequence
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
# The places for a name, near ones first: (places, 2) offset from the point, pt, and whether the name is left of it or
# so near that it needs no line.
_OFFSETS = np.array([(sign * dx, dy) for dx, dy, sign in product(_ACROSS, _UP, (1, -1))])
_IS_LEFT = _OFFSETS[:, 0] < 0
_IS_NEAR = (np.abs(_OFFSETS[:, 0]) == _ACROSS[0]) & np.isin(_OFFSETS[:, 1], _UP[:2])


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
    spots = {n: _spots(at[n], name) for n, (_, _, name) in enumerate(points) if name}
    chosen: dict[int, int] = {}
    for n in [*spots, *spots]:
        others = {m: place for m, place in chosen.items() if m != n}
        boxes = np.vstack([np.delete(markers, n, 0), *(spots[m][0][place] for m, place in others.items())])
        far = [spots[m][1][place] for m, place in others.items() if not _IS_NEAR[place]]
        chosen[n] = int(np.argmin(_costs(*spots[n], boxes, np.concatenate([np.zeros((0, 2)), *far]), frame)))
    for n, place in chosen.items():
        x, y, name = points[n]
        left = bool(_IS_LEFT[place])
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3, "relpos": (left, 0.5)}
        ax.annotate(
            *(name, (x, y), _OFFSETS[place].tolist()),
            textcoords="offset points",
            fontsize=SIZE,
            ha="right" if left else "left",
            va="bottom",
            arrowprops=None if _IS_NEAR[place] else line,
        )


def _spots(at: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What a name covers at each place, pt.

    Args:
        at: (2,) the point, pt.
        name: the name.

    Returns:
        (places, 4) left, bottom, right and top, and (places, n, 2) points on the line to its point.
    """
    size = np.array([0.56 * len(name), 1.15]) * SIZE
    corner = at + _OFFSETS - np.where(_IS_LEFT[:, None], size * (1, 0), 0)
    lines = at + _ALONG * np.add(_OFFSETS, (0, size[1] / 2))[:, None]
    return np.concatenate([corner, corner + size], axis=1), lines


def _costs(
    own: np.ndarray, own_lines: np.ndarray, boxes: np.ndarray, lines: np.ndarray, frame: np.ndarray
) -> np.ndarray:
    """The area that a name covers or that lies outside the frame, pt², plus crossings of lines and the distance.

    Args:
        own, own_lines: of the name, see :func:`_spots`.
        boxes: (n, 4) of the other points and names.
        lines: (m, 2) points on the lines to other names.
        frame: (4,) of the axes.

    Returns:
        (places,) float.
    """
    covered = _shared(own[:, None], boxes).sum(1)
    crossed = _inside(own_lines[:, :, None], boxes[None, None]).sum((1, 2)) * ~_IS_NEAR
    crossed += _inside(lines, own[:, None]).sum(1)
    outside = _shared(own, own) - _shared(own, frame)
    distance = np.abs(_OFFSETS[:, 0]) - _ACROSS[0] + np.abs(_OFFSETS[:, 1] + SIZE / 2)
    return np.asarray(3 * covered + 12 * crossed + 3 * outside + distance)


def _inside(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return np.asarray(((boxes[..., :2] <= points) & (points <= boxes[..., 2:])).all(-1))


def _shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The area that two boxes have in common."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.asarray(np.maximum(sides, 0).prod(-1))
