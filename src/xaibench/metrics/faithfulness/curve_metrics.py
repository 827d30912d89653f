"""Faithfulness metrics that are areas under pixel-flipping curves; one pair of curves per map gives them all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.faithfulness.pixel_flipping import STEPS, Curves, area, removal_of
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.registry import Plugin, metric
from xaibench.registry.traits import MetricTraits
from xaibench.scorer import Scorer

ANY = (-math.inf, math.inf)
CurveOf = Callable[[Curves], np.ndarray | None]  # the curve over the share removed whose area is the score


def _score(
    curve_of: CurveOf,
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    rng: np.random.Generator,
    fill: str,
    steps: int,
) -> Score:
    curves = removal_of(case, scorer, fill, rng).curves(attribution, steps)
    curve = curve_of(curves)
    if curve is None:
        raise Skipped(f"removing everything ({fill}) leaves the prediction as it is")
    return Score(area(curve, curves.fractions), (tuple(curves.fractions.tolist()), tuple(curve.tolist())))


def curve_metric(name: str, better: str, **traits: Any) -> Callable[[CurveOf], Plugin[MetricTraits]]:
    """Declare a function of a map's curves a metric with the parameters ``fill`` and ``steps``.

    The metric has the function's docstring. It is skipped where the function returns None.

    Args:
        name, better: see :func:`~xaibench.registry.declare.metric`.
        **traits: see there.
    """

    def declare(curve_of: CurveOf) -> Plugin[MetricTraits]:
        def score(
            attribution: np.ndarray,
            case: Case,
            scorer: Scorer,
            *,
            rng: np.random.Generator,
            fill: str = "inpaint",
            steps: int = STEPS,
        ) -> Score:
            return _score(curve_of, attribution, case, scorer, rng, fill, steps)

        score.__doc__ = curve_of.__doc__
        return metric(name, family="faithfulness", better=better, range=ANY, invariant="rank", **traits)(score)

    return declare


@curve_metric(
    "deletion",
    "lower",
    paper="petsiuk2018",
    explanation="What the network still finds while the most attributed pixels are removed first.",
    main=1,
)
def deletion(curves: Curves) -> np.ndarray:
    """Area under the target's probability as the most attributed pixels are removed first [petsiuk2018].

    It is near 0 if removing a few pixels removes the evidence, and 1 if nothing matters until the end. A curve can
    leave [0, 1] where removal makes the network more certain, and so can the area.
    """
    return curves.most_first


@curve_metric(
    "insertion",
    "higher",
    paper="petsiuk2018",
    explanation="What the network finds again while the most attributed pixels are put back first.",
    main=2,
)
def insertion(curves: Curves) -> np.ndarray:
    """Area under the target's probability as the most attributed pixels are added first [petsiuk2018].

    They are added to the emptied image. The image with the most attributed share q added is the image with the least
    attributed 1 − q removed, and the steps are symmetric: this is the least-first removal curve, read from its end.
    """
    return curves.least_first[::-1]


@curve_metric(
    "srg",
    "higher",
    chance=0,
    paper="blucher2024",
    explanation="Does the network really use what the map marks? Area under its answer while the least attributed "
    "pixels are removed first, less that while the most attributed are; 0 is chance.",
    main=0,
    narrow=False,
)
def srg(curves: Curves) -> np.ndarray:
    """Symmetric relevance gain: removal area, least attributed first, less most attributed first [blucher2024].

    0 is chance, and a constant map gives exactly 0. The difference cancels much of the effect of the fill itself.
    """
    return _gain(curves)


@curve_metric("dice-deletion", "lower", paper="milletari2016")
def dice_deletion(curves: Curves) -> np.ndarray | None:
    """Deletion with the soft Dice of perturbed and original prediction [milletari2016] as the curve.

    It follows the whole prediction in the field of view, also predictions that appear where there was none.

    Raises:
        Skipped: if with everything removed the prediction is still the original one.
    """
    return curves.dice


def _gain(curves: Curves) -> np.ndarray:
    gain: np.ndarray = curves.least_first - curves.most_first
    return gain


def _srg_for(target: str, main: int) -> Plugin[MetricTraits]:
    """The symmetric relevance gain of the method's map for another target."""

    # It is also computed where the run explains this target: metrics of the method may be asked for without a map.
    def score(
        attribution: np.ndarray,
        case: Case,
        scorer: Scorer,
        *,
        rng: np.random.Generator,
        method: Method,
        fill: str = "inpaint",
        steps: int = STEPS,
    ) -> Score:
        other, map_ = method.about(scorer, case, target)
        return _score(_gain, map_, case, other, rng, fill, steps)

    score.__doc__ = f"Symmetric relevance gain (srg) of the method's map for the target `{target}` [blucher2024]."
    return metric(
        f"srg-{target}",
        family="faithfulness",
        better="higher",
        range=ANY,
        measures="method",
        chance=0,
        targets=(target,),
        paper="blucher2024",
        explanation=f"The symmetric relevance gain (srg) of maps that explain the {target} vessels alone.",
        suites=("standard", "full"),
        main=main,
    )(score)


srg_thin, srg_thick = _srg_for("thin", 9), _srg_for("thick", 10)
