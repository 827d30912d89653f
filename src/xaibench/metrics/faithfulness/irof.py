"""Iterative removal of features: pixel flipping by whole superpixels."""

import math
from itertools import pairwise

import numpy as np
from scipy.ndimage import mean as mean_by_label

from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.metrics.faithfulness.pixel_flipping import STEPS, Removal, area, fractions
from xaibench.metrics.score import Score, as_curve
from xaibench.registry import metric
from xaibench.scorer import Scorer


@metric(
    "irof",
    family="faithfulness",
    better="higher",
    range=(-math.inf, math.inf),
    invariant="scale",
    paper="rieger2020",
    suites=("standard", "full"),
    known_failures={"mirrored": "superpixels of a mirrored picture are not those of the picture, mirrored"},
)
def irof(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    fill: str = "mean",
    segments: int = 200,
    steps: int = STEPS,
) -> Score:
    """Area over the probability curve as whole superpixels are removed by their mean attribution [rieger2020].

    There are about ``segments`` SLIC superpixels of the green channel. Their number removed takes the same steps as the
    pixels of `deletion`, ties stand in random order, and the curve is normalised alike. The area over it is 1 − the
    area under it.
    """
    seed, fov, over = int(rng.integers(2**63)), case.fov.numpy(), fractions(steps)
    labels = scorer.cache.get(superpixels, case.image, case.fov, segments)
    count = int(labels.max()) + 1
    means = np.asarray(mean_by_label(attribution.astype(np.float64)[fov], labels[fov], np.arange(count)))
    shuffle = np.random.default_rng([seed, 1]).permutation(count)
    order = shuffle[np.argsort(-means[shuffle], kind="stable")]
    rank = np.empty(count, int)
    rank[order] = np.arange(count)
    step = np.where(fov, rank[labels], count).ravel()  # pixels outside the field of view are never removed
    bounds = np.round(over * count).astype(int)
    groups = [np.flatnonzero((step >= a) & (step < b)) for a, b in pairwise(bounds[:-1])]
    removal = scorer.cache.get(Removal, case, scorer, fill, seed)
    curve, _ = removal.in_order(groups)
    return Score(1 - area(curve, over), as_curve(over, curve))
