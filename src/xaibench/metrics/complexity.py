"""Complexity: how few pixels hold the attribution. Neither end is better: a sharp map can be wrong."""

import math
from functools import partial

import numpy as np

from xaibench.data.case import Case
from xaibench.metrics.score import Score
from xaibench.registry import metric

VISIBLE = 0.1  # share of the maximum
complexity = partial(metric, family="complexity", better="none", invariant="scale")


@complexity("sparseness", range=(0, 1), chance=0, paper="chalasani2020")
def sparseness(attribution: np.ndarray, case: Case) -> Score:
    """Gini index of the positive attribution in the field of view: 0 even, near 1 on a few pixels [chalasani2020]."""
    positive = np.sort(np.maximum(attribution[case.fov.numpy()], 0).astype(np.float64))
    total, n = float(positive.sum()), positive.size
    if total == 0 or positive[0] == positive[-1]:
        return Score(0.0)
    return Score(float((2 * np.arange(1, n + 1) - n - 1) @ positive) / (n * total))


@complexity("entropy", range=(0, math.inf), paper="bhatt2020", suites=("standard", "full"))
def entropy(attribution: np.ndarray, case: Case) -> Score:
    """Entropy of |a| ÷ Σ|a| over the field of view, in nats: ln of its n pixels if all are equal [bhatt2020].

    An all-zero map counts as a constant one.
    """
    size = np.abs(attribution[case.fov.numpy()].astype(np.float64))
    total = float(size.sum())
    if total == 0:
        return Score(math.log(size.size))
    share = size[size > 0] / total
    return Score(max(0.0, -float(share @ np.log(share))))


@complexity("effective-complexity", range=(0, math.inf), paper="nguyen2020", suites=("standard", "full"))
def effective_complexity(attribution: np.ndarray, case: Case) -> Score:
    """Number of field-of-view pixels in which |a| is above 10 % of its maximum [nguyen2020, adapted].

    An all-zero map counts as a constant one: all of them.
    """
    size = np.abs(attribution[case.fov.numpy()].astype(np.float64))
    top = float(size.max())
    return Score(float((size > VISIBLE * top).sum() if top > 0 else size.size))
