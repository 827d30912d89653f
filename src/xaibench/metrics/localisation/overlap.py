"""Overlap of a map with all vessels, thin vessels and thick vessels.

Each metric compares the map inside the field of view with one mask. A constant or all-zero map scores exactly the
chance level; an empty mask has no score. Beside its value a score keeps its null: what the same map scores against the
vessels rotated and mirrored in the field of view. The radius that separates thin from thick is a parameter, ``radius``,
for a sensitivity analysis.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType

import numpy as np

from xaibench.data.anatomy.caliber import THIN_RADIUS, is_thin
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.score import Score, in_positions
from xaibench.metrics.similarity import Levels, lift_of, mass_share, near, pointing_hit, turned
from xaibench.parameter_checks import above_zero
from xaibench.registry import Plugin, metric
from xaibench.registry.traits import MetricTraits
from xaibench.scorer import Scorer

PARTS = ("vessels", "thin", "thick")


@dataclass(frozen=True, eq=False)
class Map:
    """A map, and its sorted values in the field of view; shared by all metrics of the latest map."""

    values: np.ndarray
    case: Case

    @cached_property
    def levels(self) -> Levels:
        """The distinct values in the field of view."""
        return Levels.of(self.values[self.case.fov.numpy()])


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the vessels in one position.

    Attributes:
        mask: (H, W) bool, its pixels.
        vessels: (H, W) bool, those of all vessels in this position.
        fov: (H, W) bool.
    """

    mask: np.ndarray
    vessels: np.ndarray
    fov: np.ndarray

    @cached_property
    def surroundings(self) -> np.ndarray:
        """(H, W) bool, the pixels near the part."""
        return near(self.mask)


Compute = Callable[..., float]  # from a map and the parts that it is compared with
Declare = Callable[..., Callable[[Callable[..., Score]], Plugin[MetricTraits]]]


def _positions(case: Case, radius: float) -> list[dict[str, Part]]:
    """The vessels as they are, and in the seven other orientations; thin ones have a radius of at most ``radius``."""
    fov, caliber = case.fov.numpy(), case.caliber.numpy()

    def position(caliber: np.ndarray) -> dict[str, Part]:
        vessels, thin = caliber > 0, is_thin(caliber, case.scale, radius)
        masks = {"vessels": vessels, "thin": thin, "thick": vessels & ~thin}
        return {part: Part(mask, vessels, fov) for part, mask in masks.items()}

    return [position(caliber) for caliber in (caliber, *turned(caliber, fov))]


def _score(
    compute: Compute, parts: tuple[str, ...], attribution: np.ndarray, case: Case, scorer: Scorer, radius: float
) -> Score:
    """The score of a map, and its null: the scores against the rotated and mirrored vessels.

    There is no null if a part leaves the field of view in one of these positions, or has no score there.

    Args:
        compute: the score against the parts in one position.
        parts: what must not be empty.
        attribution: (H, W).
        case: the image with its vessels.
        scorer: caches what all maps share.
        radius: largest radius of a thin vessel, px at DRIVE's scale.

    Raises:
        UserError: if the radius is not positive.
        Skipped: if one of the parts is empty, or ``compute`` raises it.
    """
    above_zero("radius", radius)
    map_ = scorer.cache.of_map(Map, np.asarray(attribution), case)

    def against(position: Mapping[str, Part]) -> float:
        for part in parts:
            if not position[part].mask.any():
                raise Skipped(f"case {case.id} has no {'vessel' if part == 'vessels' else part + ' vessel'} pixels")
        return compute(map_, *(position[part] for part in parts))

    return in_positions(against, scorer.cache.get(_positions, case, radius))


def _for_parts(
    stem: str,
    compute: Compute,
    what: str,
    declare: Declare,
    *,
    explanation: str = "",
    main: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Plugin, ...]:
    """The metrics ``stem-vessels``, ``stem-thin`` and ``stem-thick``.

    Args:
        stem: the common stem of their names.
        compute: the score of a map for the vessels in one position.
        what: first line of the docstrings; ``{}`` stands for the vessels.
        declare: :func:`~xaibench.registry.declare.metric` with what all three declare alike.
        explanation: like ``what``, for readers of a table.
        main: place of each part in the main table.
    """

    def metric_of(part: str) -> Plugin:
        def split(attribution: np.ndarray, case: Case, scorer: Scorer, *, radius: float = THIN_RADIUS) -> Score:
            return _score(compute, (part,), attribution, case, scorer, radius)

        def whole(attribution: np.ndarray, case: Case, scorer: Scorer) -> Score:
            return split(attribution, case, scorer)

        score, vessels = (whole, "vessels") if part == "vessels" else (split, f"{part} vessels")
        score.__doc__ = what.format(vessels)
        return declare(
            f"{stem}-{part}",
            better="higher",
            mask=part,
            explanation=explanation.format(vessels),
            main=main.get(part),
            narrow=part != "thin",
        )(score)

    return tuple(map(metric_of, PARTS))


def _against_background(area: Callable[[Levels, np.ndarray, np.ndarray], float]) -> Compute:
    """The pixels of a part against the field-of-view pixels outside all vessels."""

    def compute(map_: Map, part: Part) -> float:
        vessels = part.vessels[part.fov]
        if vessels.all():
            raise Skipped(f"case {map_.case.id} has no field-of-view pixel without a vessel")
        return area(map_.levels, part.mask[part.fov], vessels)

    return compute


localised = partial(metric, family="overlap")
auroc_vessels, auroc_thin, auroc_thick = _for_parts(
    "auroc",
    _against_background(Levels.roc),
    "ROC area of the map for {} against field-of-view pixels without a vessel; .5 is chance [hanley1982].",
    partial(localised, range=(0, 1), invariant="rank", chance=0.5, paper="hanley1982"),
    explanation="Does the map lie on {} rather than on the background? .5 is chance.",
    main={"thin": 3, "thick": 4},
)
ap_vessels, ap_thin, ap_thick = _for_parts(
    "ap",
    _against_background(Levels.average_precision),
    "Average precision of the map for {} against field-of-view pixels without a vessel [davis2006].",
    partial(localised, range=(0, 1), invariant="rank", paper="davis2006", suites=("standard", "full")),
)
mass_vessels, mass_thin, mass_thick = _for_parts(
    "mass",
    lambda map_, part: mass_share(map_.values, part.mask, part.fov),
    "Share of the positive attribution that lies on {} [arras2022].",
    partial(localised, range=(0, 1), invariant="scale", paper="arras2022"),
)
lift_vessels, lift_thin, lift_thick = _for_parts(
    "lift",
    lambda map_, part: lift_of(map_.values, part.mask, part.fov),
    "Mass share of {} ÷ their share of the area; 1 is chance [arras2022, adapted].",
    partial(localised, range=(0, math.inf), invariant="scale", chance=1, paper="arras2022"),
    explanation="How many times more attribution {} hold than their area would by chance; 1 is chance.",
    main={"thin": 5, "thick": 6},
)
rank_vessels, rank_thin, rank_thick = _for_parts(
    "rank",
    lambda map_, part: map_.levels.top_share(part.mask[part.fov]),
    "Share of {} among as many most attributed pixels [arras2022].",
    partial(localised, range=(0, 1), invariant="rank", paper="arras2022", suites=("standard", "full")),
)
pointing_vessels, pointing_thin, pointing_thick = _for_parts(
    "pointing",
    lambda map_, part: pointing_hit(map_.values, part.surroundings, part.fov),
    "Whether the highest pixel lies within 2 px of {} [zhang2018].",
    partial(localised, range=(0, 1), invariant="rank", paper="zhang2018", suites=("standard", "full")),
)


@localised(
    "thin-gap",
    better="zero",
    range=(-math.inf, math.inf),
    invariant="scale",
    chance=0,
    explanation="Does the map favour thick (+) or thin (−) vessels? +1 is twice as much on thick ones.",
    main=7,
    narrow=False,
)
def thin_gap(attribution: np.ndarray, case: Case, scorer: Scorer, *, radius: float = THIN_RADIUS) -> Score:
    """log₂ of lift on thick ÷ lift on thin vessels: 0 is even-handed, +1 twice as much on thick ones.

    Args:
        attribution: (H, W).
        case: the image with its vessels.
        scorer: caches what all maps share.
        radius: largest radius of a thin vessel, px at DRIVE's scale.

    Raises:
        UserError: if the radius is not positive.
        Skipped: if there is no thin or no thick vessel, or no positive attribution on one of them: the gap is infinite.
    """

    def gap(map_: Map, *parts: Part) -> float:
        thin, thick = (lift_of(map_.values, part.mask, part.fov) for part in parts)
        if thin == 0 or thick == 0:
            raise Skipped(
                f"no positive attribution on {'thin' if thin == 0 else 'thick'} vessels, so the gap is infinite"
            )
        return 0.0 if math.isclose(thin, thick, rel_tol=1e-12) else math.log2(thick / thin)  # equal up to rounding

    return _score(gap, ("thin", "thick"), attribution, case, scorer, radius)
