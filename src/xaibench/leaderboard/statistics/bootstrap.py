"""Bootstrap confidence intervals of means over images: pure functions on arrays."""

from functools import lru_cache

import numpy as np

RESAMPLES = 10_000
COVERAGE = 0.95


@lru_cache(maxsize=2)
def resample_weights(images: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """The share of each image in each bootstrap resample.

    All methods share these weights, so every comparison is paired. Equal arguments return the same read-only array.

    Args:
        images: how many.
        seed: of the resampling.
        resamples: how many.

    Returns:
        (images, resamples) float; each column sums to 1.
    """
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples)
    weights: np.ndarray = drawn.T / images
    weights.flags.writeable = False
    return weights


def interval(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bootstrap interval of the mean over images [efron1979].

    Args:
        values: (M, images); a row with a NaN has no interval.
        weights: (images, R), see :func:`resample_weights`.

    Returns:
        (M,) lower and (M,) upper ends; NaN with fewer than two images.

    Example:
        >>> interval(np.array([[1.0, 1.0, 1.0]]), resample_weights(3, seed=0))
        (array([1.]), array([1.]))
    """
    values = np.asarray(values, float)
    if values.shape[1] < 2:
        return np.full(len(values), np.nan), np.full(len(values), np.nan)
    means = values @ weights
    last = means.shape[1] - 1
    ends = []
    for q in ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2):
        below = min(int(q * last), last - 1)
        # An interval needs two order statistics only; sorting takes several times as long.
        means.partition((below, below + 1), axis=1)
        ends.append(means[:, below] + (q * last - below) * (means[:, below + 1] - means[:, below]))
    return ends[0], ends[1]
