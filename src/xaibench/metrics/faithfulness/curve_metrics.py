"""Faithfulness metrics that are areas under pixel-flipping curves; one pair of curves per map gives them all."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.random import Generator

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.faithfulness.pixel_flipping import STEPS, Curves, area, removal_of
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score, as_curve
from xaibench.registry import Plugin, metric
from xaibench.registry.traits import MetricTraits
from xaibench.scorer import Scorer

faithfulness = partial(metric, family="faithfulness", range=(-math.inf, math.inf))
CurveOf = Callable[[Curves], np.ndarray | None]  # the curve over the share removed whose area is the score


def of_curves(curve_of: CurveOf) -> Callable[..., Score]:
    """The function of a metric, with the parameters ``fill`` and ``steps``, from a function of a map's curves.

    It has that function's docstring, and is skipped where that function returns None.
    """

    def score(
        attribution: np.ndarray,
        case: Case,
        scorer: Scorer,
        *,
        rng: Generator,
        fill: str = "inpaint",
        steps: int = STEPS,
    ) -> Score:
        removal = removal_of(case, scorer, fill, rng)
        curves = scorer.cache.of_map(removal.curves, np.asarray(attribution, np.float32), steps)
        curve = curve_of(curves)
        if curve is None:
            raise Skipped(f"removing everything ({fill}) leaves the prediction as it is")
        return Score(area(curve, curves.fractions), as_curve(curves.fractions, curve))

    score.__doc__ = curve_of.__doc__
    return score


@faithfulness(
    "deletion",
    better="lower",
    invariant="rank",
    paper="petsiuk2018",
    explanation="What the network still finds while the most attributed pixels are removed first.",
    main=1,
)
@of_curves
def deletion(curves: Curves) -> np.ndarray:
    """Area under the target's probability as the most attributed pixels are removed first [petsiuk2018].

    It is near 0 if removing a few pixels removes the evidence, and 1 if nothing matters until the end. A curve can
    leave [0, 1] where removal makes the network more certain, and so can the area.
    """
    return curves.most_first


@faithfulness(
    "insertion",
    better="higher",
    invariant="rank",
    paper="petsiuk2018",
    explanation="What the network finds again while the most attributed pixels are put back first.",
    main=2,
)
@of_curves
def insertion(curves: Curves) -> np.ndarray:
    """Area under the target's probability as the most attributed pixels are added first [petsiuk2018].

    They are added to the emptied image. The image with the most attributed share q added is the image with the least
    attributed 1 − q removed, and the steps are symmetric: this is the least-first removal curve, read from its end.
    """
    return curves.least_first[::-1]


@faithfulness(
    "srg",
    better="higher",
    invariant="rank",
    chance=0,
    paper="blucher2024",
    explanation="Does the network really use what the map marks? Area under its answer while the least attributed "
    "pixels are removed first, less that while the most attributed are; 0 is chance.",
    main=0,
    narrow=False,
)
@of_curves
def srg(curves: Curves) -> np.ndarray:
    """Symmetric relevance gain: removal area, least attributed first, less most attributed first [blucher2024].

    0 is chance, and a constant map gives exactly 0. The difference cancels much of the effect of the fill itself.
    """
    gain: np.ndarray = curves.least_first - curves.most_first
    return gain


@faithfulness("dice-deletion", better="lower", invariant="rank", paper="milletari2016")
@of_curves
def dice_deletion(curves: Curves) -> np.ndarray | None:
    """Deletion with the soft Dice of perturbed and original prediction [milletari2016] as the curve.

    It follows the whole prediction in the field of view, also predictions that appear where there was none.

    Raises:
        Skipped: if with everything removed the prediction is still the original one.
    """
    return curves.dice


def _srg_for(target: str, main: int) -> Plugin[MetricTraits]:
    """The symmetric relevance gain of the method's map for another target."""

    # It is also computed where the run explains this target: metrics of the method may be asked for without a map.
    def score(
        case: Case, scorer: Scorer, *, rng: Generator, method: Method, fill: str = "inpaint", steps: int = STEPS
    ) -> Score:
        other, map_ = method.about(scorer, case, target)
        gain: Score = srg.function(map_, case, other, rng=rng, fill=fill, steps=steps)
        return gain

    score.__doc__ = f"Symmetric relevance gain (srg) of the method's map for the target `{target}` [blucher2024]."
    return faithfulness(
        f"srg-{target}",
        better="higher",
        measures="method",
        chance=0,
        targets=(target,),
        paper="blucher2024",
        explanation=f"The symmetric relevance gain (srg) of maps that explain the {target} vessels alone.",
        suites=("standard", "full"),
        main=main,
    )(score)


srg_thin, srg_thick = _srg_for("thin", 9), _srg_for("thick", 10)
