"""Similarity of a map and a mask inside the field of view: pure functions on arrays."""

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
    """The distinct values of a map in ascending order, sorted once for comparison with many masks.

    Attributes:
        level: (n,) index of each pixel's value among the distinct values.
        counts: (levels,) number of pixels with each value.
    """

    level: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Levels:
        """The levels of (n,) values."""
        _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
        return cls(level.astype(np.int32), counts)

    def roc(self, positive: np.ndarray, vessels: np.ndarray | None = None) -> float:
        """ROC area of (n,) bool positives against the pixels that are neither positive nor vessels; both not empty."""
        p, n = self._histograms(positive, vessels)
        below = np.cumsum(n) - n
        return float(p @ (below + n / 2) / (p.sum() * n.sum()))

    def average_precision(self, positive: np.ndarray, vessels: np.ndarray | None = None) -> float:
        """Σ (R_k − R_{k-1}) P_k over the distinct values as thresholds, so that ties enter together; in (0, 1]."""
        p, n = (each[::-1] for each in self._histograms(positive, vessels))
        hits, taken = np.cumsum(p), np.cumsum(p + n)
        some = p > 0
        return float((p[some] * hits[some] / taken[some]).sum() / p.sum())

    def top_share(self, mask: np.ndarray) -> float:
        """Share of the size of an (n,) bool mask that its |mask| highest pixels cover, ties in expectation.

        Returns:
            In [0, 1]; chance is the mask's share of the pixels [arras2022].
        """
        inside = self.level[mask]
        left = inside.size - np.cumsum(self.counts[::-1])[::-1]  # places left after a level and all above it
        threshold = int(np.flatnonzero(left <= 0)[-1])
        places = left[threshold] + self.counts[threshold]  # for the pixels that tie at the threshold
        tied = np.count_nonzero(inside == threshold) / self.counts[threshold]
        return float((np.count_nonzero(inside > threshold) + places * tied) / inside.size)

    def _histograms(self, positive: np.ndarray, vessels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Counts per level of positives, and of pixels that are neither positive nor vessels."""
        found = np.bincount(self.level[positive], minlength=self.counts.size)
        taken = found if vessels is None else np.bincount(self.level[positive | vessels], minlength=self.counts.size)
        return found.astype(np.float64), (self.counts - taken).astype(np.float64)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r of two (n,) arrays, in [-1, 1]; 0 if one of them is constant up to rounding.

    Example:
        >>> correlation(np.array([0.0, 1.0, 2.0]), np.array([5.0, 3.0, 1.0]))
        -1.0
    """
    # Scaled by powers of two, which is exact, so that no square overflows or underflows.
    u, v = (np.ldexp(x, -np.frexp(np.abs(x).max(initial=0.0))[1]) for x in (a.astype(np.float64), b.astype(np.float64)))
    if any(np.ptp(x) <= 1e-12 * np.abs(x).max(initial=0.0) for x in (u, v)):
        return 0.0
    u, v = u - u.mean(), v - v.mean()
    return float(np.clip(u @ v / np.sqrt((u @ u) * (v @ v)), -1, 1))


def mass_share(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray) -> float:
    """Share of the positive attribution in the field of view that lies on the mask [arras2022].

    Args:
        attribution: (H, W).
        mask, fov: (H, W) bool, the mask inside the field of view.

    Returns:
        In [0, 1]; the mask's share of the area if nothing is positive.
    """
    positive = np.maximum(attribution, 0).astype(np.float64)
    total = positive[fov].sum()
    return min(float(positive[mask].sum() / total), 1.0) if total > 0 else float(mask.sum() / fov.sum())


def near(mask: np.ndarray, radius: float = POINTING_RADIUS) -> np.ndarray:
    """(H, W) bool: the pixels within ``radius`` px of the mask."""
    return np.asarray(distance_transform_edt(~mask) <= radius)


def pointing_hit(attribution: np.ndarray, close: np.ndarray, fov: np.ndarray) -> float:
    """Whether the highest pixel lies where ``close`` is true, see :func:`near`; ties in expectation [zhang2018].

    Returns:
        1 or 0, or the share of hits among pixels that tie for the maximum.
    """
    values = attribution[fov]
    return float(close[fov][values == values.max()].mean())


def lift_of(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray) -> float:
    """Share of the positive attribution on the mask ÷ the mask's share of the area: 1 is chance."""
    return mass_share(attribution, mask, fov) * float(fov.sum()) / float(mask.sum())


def turned(values: np.ndarray, fov: np.ndarray, nothing: float = 0) -> list[np.ndarray]:
    """An array in the seven other orientations of the square (rotations by 90°, mirrorings), inside the field of view.

    The centre is that of the field of view's bounding box, exact or half a pixel off; pixels that leave the field of
    view are dropped.

    Args:
        values: (H, W), such as a mask.
        fov: (H, W) bool.
        nothing: the value of empty places and of those outside the field of view.

    Example:
        >>> fov = np.ones((3, 3), bool); mask = np.zeros((3, 3), bool); mask[0, 1] = True
        >>> [np.argwhere(m)[0].tolist() for m in turned(mask, fov)]
        [[0, 1], [2, 1], [2, 1], [1, 0], [1, 0], [1, 2], [1, 2]]
    """
    rows, columns = (np.flatnonzero(fov.any(axis)).tolist() for axis in (1, 0))
    middle = rows[0] + rows[-1], columns[0] + columns[-1]  # doubled, so that it is whole
    y, x = np.indices(values.shape)
    up, right = 2 * y - middle[0], 2 * x - middle[1]
    found = []
    for a, b in ((up, -right), (-up, right), (-up, -right), (right, up), (right, -up), (-right, up), (-right, -up)):
        from_y, from_x = np.asarray((a + middle[0]) // 2), np.asarray((b + middle[1]) // 2)
        known = fov & (from_y >= 0) & (from_y < fov.shape[0]) & (from_x >= 0) & (from_x < fov.shape[1])
        there = np.full_like(values, nothing)
        there[known] = values[from_y[known], from_x[known]]
        found.append(there)
    return found
