"""Nemenyi's critical difference of mean ranks, for the diagram of [demsar2006]; without ``scipy.stats``."""

import math
from functools import lru_cache

import numpy as np

from xaibench.leaderboard.statistics.rank_tests import ALPHA

_STEP = 0.02  # of the trapezoid rule; its error for this smooth integrand is far below the last digit in use
_GRID = np.arange(-9, 9 + _STEP / 2, _STEP)  # standard deviations; beyond 9 the density vanishes in double precision
_DENSITY = np.exp(-(_GRID**2) / 2) / math.sqrt(2 * math.pi)


def _normal_cdf(z: np.ndarray) -> np.ndarray:
    return np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in z.tolist()])


_BELOW = _normal_cdf(_GRID)


def studentized_range_cdf(q: float, k: int) -> float:
    """P(range of k independent standard normal values ≤ q), k ∫ φ(z) [Φ(z) − Φ(z − q)]ᵏ⁻¹ dz.

    This is the studentized range with infinite degrees of freedom [tukey1953].

    Example:
        >>> round(studentized_range_cdf(2.772, 2), 3)              # |difference| ≤ 1.96 √2
        0.95
    """
    between = np.maximum(_BELOW - _normal_cdf(_GRID - q), 0)
    return float(k * _STEP * (_DENSITY * between ** (k - 1)).sum())


@lru_cache(maxsize=256)
def studentized_range_quantile(k: int, alpha: float = ALPHA) -> float:
    """The value that the range of k independent standard normal values exceeds with probability ``alpha``.

    Found by bisection.

    Args:
        k: 2 or more.
        alpha: in (0, 1).

    Example:
        >>> round(studentized_range_quantile(4) / 2**0.5, 3)       # [demsar2006, table 5]
        2.569
    """
    low, high = 0.0, 20.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if studentized_range_cdf(middle, k) < 1 - alpha else (low, middle)
    return (low + high) / 2


def critical_difference(methods: int, images: int, alpha: float = ALPHA) -> float:
    """The least difference of two mean ranks that Nemenyi's test finds significant [nemenyi1963; demsar2006].

    Args:
        methods: how many are compared.
        images: over how many the ranks are averaged.
        alpha: family-wise error rate.

    Returns:
        In ranks; NaN with fewer than two methods.

    Example:
        >>> round(critical_difference(4, 14), 2)                   # [demsar2006, section 3.2.4]
        1.25
    """
    if methods < 2:
        return math.nan
    quantile = studentized_range_quantile(methods, alpha) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * images))
