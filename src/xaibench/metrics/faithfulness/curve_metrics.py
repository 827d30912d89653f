"""Faithfulness: does the network really use what a map shows?

One pair of curves per map and fill (removal.py) gives most of these metrics.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from scipy.ndimage import mean as mean_by_label

from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.errors import Skipped
from xaibench.metrics.faithfulness.pixel_flipping import (
    STEPS,
    area,
    fractions,
    normalised,
    removal_curves,
    removal_ends,
    removed_in_order,
)
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.registry import metric
from xaibench.scorer import Scorer

ANY = (-math.inf, math.inf)


def _score(curve: np.ndarray, over: np.ndarray) -> Score:
    return Score(area(curve, over), (tuple(over.tolist()), tuple(curve.tolist())))


@metric(
    "deletion",
    family="faithfulness",
    better="lower",
    range=ANY,
    invariant="rank",
    paper="petsiuk2018",
    explanation="What the network still finds while the most attributed pixels are removed first.",
    main=1,
)
def deletion(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    fill: str = "inpaint",
    steps: int = STEPS,
) -> Score:
    """Area under the target's probability as the most attributed pixels are removed first [petsiuk2018].

    Near 0 if removing little takes all, 1 if nothing matters until the end. A curve can leave [0, 1] where removal
    makes the network surer than it was, and so can the area.
    """
    curves = removal_curves(attribution, case, scorer, fill, rng, steps)
    return _score(curves.most_first, curves.fractions)


@metric(
    "insertion",
    family="faithfulness",
    better="higher",
    range=ANY,
    invariant="rank",
    paper="petsiuk2018",
    explanation="What the network finds again while the most attributed pixels are put back first.",
    main=2,
)
def insertion(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    fill: str = "inpaint",
    steps: int = STEPS,
) -> Score:
    """Area under the target's probability as the most attributed pixels are added first [petsiuk2018].

    They are added to the emptied image. The image with the most attributed share q added is the image with the least
    attributed 1 − q removed, and the steps are symmetric: so this is the least-first removal curve, read from its end.
    """
    curves = removal_curves(attribution, case, scorer, fill, rng, steps)
    return _score(curves.least_first[::-1], curves.fractions)


@metric(
    "srg",
    family="faithfulness",
    better="higher",
    range=ANY,
    invariant="rank",
    chance=0,
    paper="blucher2024",
    explanation="Does the network really use what the map marks? Area under its answer while the least attributed "
    "pixels are removed first, less that while the most attributed are; 0 is chance.",
    main=0,
    narrow=False,
)
def srg(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    fill: str = "inpaint",
    steps: int = STEPS,
) -> Score:
    """Symmetric relevance gain: removal area, least attributed first, less most attributed first [blucher2024].

    0 is chance, and a constant map gives exactly 0. The difference cancels much of what the fill does by itself.
    """
    curves = removal_curves(attribution, case, scorer, fill, rng, steps)
    return _score(curves.least_first - curves.most_first, curves.fractions)


def _srg_for(target: str, case: Case, scorer: Scorer, method: Method, **how: object) -> Score:
    # Also where the run itself is about this target: one that asks for no metric of the map has none.
    about, attribution = method.about(scorer, case, target)
    score: Score = srg(attribution, case, about, **how)
    return score


@metric(
    "srg-thin",
    family="faithfulness",
    better="higher",
    range=ANY,
    measures="method",
    chance=0,
    targets=("thin",),
    paper="blucher2024",
    explanation="The symmetric relevance gain (srg) of maps that explain the thin vessels alone.",
    suites=("standard", "full"),
    main=9,
)
def srg_thin(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    method: Method,
    fill: str = "inpaint",
    steps: int = STEPS,
) -> Score:
    """Symmetric relevance gain (srg) of the method's map for the target `thin` [blucher2024]."""
    return _srg_for("thin", case, scorer, method, rng=rng, fill=fill, steps=steps)


@metric(
    "srg-thick",
    family="faithfulness",
    better="higher",
    range=ANY,
    measures="method",
    chance=0,
    targets=("thick",),
    paper="blucher2024",
    explanation="The symmetric relevance gain (srg) of maps that explain the thick vessels alone.",
    suites=("standard", "full"),
    main=10,
)
def srg_thick(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    method: Method,
    fill: str = "inpaint",
    steps: int = STEPS,
) -> Score:
    """Symmetric relevance gain (srg) of the method's map for the target `thick` [blucher2024]."""
    return _srg_for("thick", case, scorer, method, rng=rng, fill=fill, steps=steps)


@metric("dice-deletion", family="faithfulness", better="lower", range=ANY, invariant="rank", paper="milletari2016")
def dice_deletion(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    fill: str = "inpaint",
    steps: int = STEPS,
) -> Score:
    """Deletion with the soft Dice of perturbed and original prediction [milletari2016] as the curve.

    It follows the whole prediction in the field of view, also what appears where nothing was.

    Raises:
        Skipped: if with everything removed the prediction is still the original one.
    """
    curves = removal_curves(attribution, case, scorer, fill, rng, steps)
    if curves.dice is None:
        raise Skipped(f"removing everything ({fill}) leaves the prediction as it is")
    return _score(curves.dice, curves.fractions)


@metric(
    "irof",
    family="faithfulness",
    better="higher",
    range=ANY,
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

    SLIC superpixels of the green channel, about ``segments`` of them; their number removed takes the same steps as the
    pixels of `deletion`, ties stand in random order, and the curve is normalised alike. The area over it is 1 − the
    area under it.
    """
    seed = int(rng.integers(2**63))
    labels = scorer.shared(("superpixels", segments), lambda: superpixels(case.image, case.fov, segments))
    fov = case.fov.numpy()
    count = int(labels.max()) + 1
    means = np.asarray(mean_by_label(attribution.astype(np.float64)[fov], labels[fov], np.arange(count)))
    shuffle = np.random.default_rng([seed, 1]).permutation(count)
    order = shuffle[np.argsort(-means[shuffle], kind="stable")]
    place = np.empty(count, int)
    place[order] = np.arange(count)
    when = np.where(fov, place[labels], count).ravel()  # outside the field of view nothing is ever removed
    over = fractions(steps)
    bounds = np.round(over * count).astype(int)
    groups = [np.flatnonzero((when >= a) & (when < b)) for a, b in pairwise(bounds[:-1])]
    seen = removed_in_order(groups, case, scorer, fill, seed)
    curve = normalised(seen.probability, removal_ends(case, scorer, fill, seed).probability)
    return Score(1 - area(curve, over), (tuple(over.tolist()), tuple(curve.tolist())))
