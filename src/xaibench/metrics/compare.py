"""Comparing a map with a mask inside the field of view: pure functions on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

POINTING_RADIUS = 2.0  # px


def area_under_roc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a random positive exceeds a random negative, ties counting half (Mann–Whitney).

    Args:
        positive, negative: (n,) and (m,) values, neither empty.

    Returns:
        In [0, 1]; .5 is chance.

    Example:
        >>> area_under_roc(np.array([2.0, 1.0]), np.array([1.0, 0.0]))
        0.875
    """
    return Levels.of(np.concatenate([positive, negative])).roc(np.arange(positive.size + negative.size) < positive.size)


@dataclass(frozen=True)
class Levels:
    """Which values a map has, from the lowest up; sorted once, it can be compared with many masks.

    Attributes:
        level: (n,) the place of each pixel's value among the distinct ones.
        count: how many distinct values there are.
    """

    level: np.ndarray
    count: int

    @classmethod
    def of(cls, values: np.ndarray) -> Levels:
        """The levels of (n,) values."""
        distinct, level = np.unique(values, return_inverse=True)
        return cls(level.astype(np.int32), distinct.size)

    def _histogram(self, which: np.ndarray) -> np.ndarray:
        return np.bincount(self.level[which], minlength=self.count).astype(np.float64)

    def roc(self, positive: np.ndarray, negative: np.ndarray | None = None) -> float:
        """ROC area of (n,) bool positives against negatives, which are all others if None; neither empty."""
        p = self._histogram(positive)
        n = self._histogram(~positive if negative is None else negative)
        below = np.cumsum(n) - n
        return float(p @ (below + n / 2) / (p.sum() * n.sum()))

    def average_precision(self, positive: np.ndarray, negative: np.ndarray) -> float:
        """Σ (R_k − R_{k-1}) P_k over the distinct values as thresholds, so that ties come in together; in (0, 1]."""
        p, n = self._histogram(positive)[::-1], self._histogram(negative)[::-1]
        hits, taken = np.cumsum(p), np.cumsum(p + n)
        some = p > 0
        return float((p[some] * hits[some] / taken[some]).sum() / p.sum())


def mass_share(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray) -> float:
    """Share of the positive attribution in the field of view that lies on the mask (Arras 2022).

    Args:
        attribution: (H, W).
        mask, fov: (H, W) bool, the mask inside the field of view.

    Returns:
        In [0, 1]; the mask's share of the area if nothing is positive.
    """
    positive = np.maximum(attribution, 0).astype(np.float64)
    total = positive[fov].sum()
    return min(float(positive[mask].sum() / total), 1.0) if total > 0 else float(mask.sum() / fov.sum())


def top_share(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray) -> float:
    """Share of the mask's size that its |mask| most attributed pixels cover, ties in expectation (Arras 2022).

    Returns:
        In [0, 1]; chance is the mask's share of the area.
    """
    values, inside = attribution[fov], mask[fov]
    size = int(inside.sum())
    threshold = np.partition(values, values.size - size)[values.size - size]
    above, tied = values > threshold, values == threshold
    places = size - int(above.sum())  # what is left for the tied pixels
    return float((inside[above].sum() + places * inside[tied].mean()) / size)


def near(mask: np.ndarray, radius: float = POINTING_RADIUS) -> np.ndarray:
    """(H, W) bool: within ``radius`` px of the mask."""
    return np.asarray(distance_transform_edt(~mask) <= radius)


def pointing_hit(attribution: np.ndarray, close: np.ndarray, fov: np.ndarray) -> float:
    """Whether the highest pixel lies where ``close`` is true, see :func:`near`; ties in expectation (Zhang 2018).

    Returns:
        1 or 0, or the share of hits among pixels that tie for the maximum.
    """
    values = attribution[fov]
    return float(close[fov][values == values.max()].mean())


def lift_of(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray) -> float:
    """Share of the positive attribution on the mask ÷ the mask's share of the area: 1 is chance."""
    return mass_share(attribution, mask, fov) * float(fov.sum()) / float(mask.sum())


def turned(mask: np.ndarray, fov: np.ndarray) -> list[np.ndarray]:
    """The mask in the seven other positions that rotations by 90° and mirrorings have, inside the field of view.

    It turns about the middle of the field of view's bounding box, to the pixel or half a pixel beside it; what leaves
    the field of view is lost.

    Args:
        mask, fov: (H, W) bool.

    Example:
        >>> fov = np.ones((3, 3), bool); mask = np.zeros((3, 3), bool); mask[0, 1] = True
        >>> [np.argwhere(m)[0].tolist() for m in turned(mask, fov)]
        [[0, 1], [2, 1], [2, 1], [1, 0], [1, 0], [1, 2], [1, 2]]
    """
    rows, columns = (np.flatnonzero(fov.any(axis)).tolist() for axis in (1, 0))
    middle = rows[0] + rows[-1], columns[0] + columns[-1]  # doubled, so that it is whole
    y, x = np.indices(mask.shape)
    up, right = 2 * y - middle[0], 2 * x - middle[1]
    found = []
    for a, b in ((up, -right), (-up, right), (-up, -right), (right, up), (right, -up), (-right, up), (-right, -up)):
        from_y, from_x = np.asarray((a + middle[0]) // 2), np.asarray((b + middle[1]) // 2)
        known = (from_y >= 0) & (from_y < mask.shape[0]) & (from_x >= 0) & (from_x < mask.shape[1])
        there = np.zeros_like(mask)
        there[known] = mask[from_y[known], from_x[known]]
        found.append(there & fov)
    return found
