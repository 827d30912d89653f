"""Overlap of a map with all vessels, thin vessels and thick vessels.

Each metric compares the map inside the field of view with one mask. A constant or all-zero map scores exactly the
chance level; an empty mask has no score. Beside its value a score keeps its null: what the same map scores against the
vessels rotated and mirrored in the field of view. The radius that separates thin from thick is a parameter, ``radius``,
for a sensitivity analysis.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from xaibench.data.anatomy.caliber import THIN_RADIUS, is_thin
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.score import Score
from xaibench.metrics.similarity import Levels, lift_of, mass_share, near, pointing_hit, turned
from xaibench.parameter_checks import above_zero
from xaibench.registry import Plugin, metric
from xaibench.scorer import Scorer

PARTS = ("vessels", "thin", "thick")

Position = dict[str, np.ndarray]  # masks of the vessels in one position: part to (H, W) bool
Compute = Callable[[np.ndarray, Position, str, Case, Scorer], float]  # (map, masks, part, …) to a value


def _home(case: Case, radius: float, *parts: str) -> Position:
    """The masks of the vessels; thin vessels have a radius of at most ``radius`` px at DRIVE's scale.

    Raises:
        UserError: if the radius is not positive.
        Skipped: if one of the parts is empty.
    """
    above_zero("radius", radius)
    found = _parts(case.caliber.numpy(), case.scale, radius)
    for part in parts:
        if not found[part].any():
            raise Skipped(f"case {case.id} has no {'vessel' if part == 'vessels' else part + ' vessel'} pixels")
    return found


def _elsewhere(case: Case, scorer: Scorer, radius: float) -> list[Position]:
    """The masks of the vessels in the seven other orientations."""
    calibers = scorer.cache.get(_turned_calibers, case)
    return [_parts(caliber, case.scale, radius) for caliber in calibers]


def _turned_calibers(case: Case) -> list[np.ndarray]:
    return list(turned(case.caliber.numpy(), case.fov.numpy()))


def _parts(caliber: np.ndarray, scale: float, radius: float) -> Position:
    vessels, thin = caliber > 0, is_thin(caliber, scale, radius)
    return {"vessels": vessels, "thin": thin, "thick": vessels & ~thin}


def _nulls(
    compute: Callable[[Position], float], positions: list[Position], parts: tuple[str, ...]
) -> tuple[float, ...]:
    """Scores against the rotated and mirrored vessels; none if a part leaves the field of view in one of them."""
    if not all(position[part].any() for position in positions for part in parts):
        return ()
    return tuple(compute(position) for position in positions)


def _for_parts(
    stem: str,
    compute: Compute,
    what: str,
    range: tuple[float, float],
    *,
    explanation: str = "",
    main: Mapping[str, int] = MappingProxyType({}),
    **traits: Any,
) -> tuple[Plugin, Plugin, Plugin]:
    """The metrics ``stem-vessels``, ``stem-thin`` and ``stem-thick``.

    Args:
        stem: the common stem of their names.
        compute: the score of a map for the vessels in one position.
        what: first line of the docstrings; ``{}`` stands for the vessels.
        range: range of the values.
        explanation: like ``what``, for readers of a table.
        main: place of each part in the main table.
        **traits: further arguments of :func:`~xaibench.registry.declare.metric`, for all three.
    """

    def declare(part: str) -> Plugin:
        def found(attribution: np.ndarray, case: Case, scorer: Scorer, radius: float) -> Score:
            map_ = np.asarray(attribution)
            home = _home(case, radius, part)
            against = lambda position: compute(map_, position, part, case, scorer)
            return Score(against(home), null=_nulls(against, _elsewhere(case, scorer, radius), (part,)))

        def whole(attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator) -> Score:
            return found(attribution, case, scorer, THIN_RADIUS)

        def split(
            attribution: np.ndarray,
            case: Case,
            scorer: Scorer,
            *,
            rng: np.random.Generator,
            radius: float = THIN_RADIUS,
        ) -> Score:
            return found(attribution, case, scorer, radius)

        score = whole if part == "vessels" else split
        vessels = "vessels" if part == "vessels" else f"{part} vessels"
        score.__doc__ = what.format(vessels)
        declared = metric(
            f"{stem}-{part}",
            family="overlap",
            better="higher",
            range=range,
            mask=part,
            explanation=explanation.format(vessels),
            main=main.get(part),
            narrow=part != "thin",
            **traits,
        )
        return declared(score)

    return declare("vessels"), declare("thin"), declare("thick")


def _against_background(area: Callable[..., float]) -> Compute:
    """The pixels of a part against the field-of-view pixels outside all vessels."""

    def compute(attribution: np.ndarray, position: Position, part: str, case: Case, scorer: Scorer) -> float:
        fov = case.fov.numpy()
        vessels = position["vessels"][fov]
        if vessels.all():
            raise Skipped(f"case {case.id} has no field-of-view pixel without a vessel")
        return area(_levels(attribution[fov], scorer), position[part][fov], vessels)

    return compute


def _top_share(attribution: np.ndarray, position: Position, part: str, case: Case, scorer: Scorer) -> float:
    fov = case.fov.numpy()
    return _levels(attribution[fov], scorer).top_share(position[part][fov])


class _LastLevels(dict[bytes, Levels]):
    """The sorted values of the last map, by the map's digest."""


class _Surroundings(dict[bytes, np.ndarray]):
    """The pixels near a part of the vessels, by that part."""


def _levels(values: np.ndarray, scorer: Scorer) -> Levels:
    """The sorted values of a map, computed once for all metrics; only the last map is cached."""
    last = scorer.cache.get(_LastLevels)
    key = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
    if key not in last:
        last.clear()
        last[key] = Levels.of(values)
    return last[key]


def _within(function: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> Compute:
    return lambda attribution, position, part, case, scorer: function(attribution, position[part], case.fov.numpy())


def _pointing(attribution: np.ndarray, position: Position, part: str, case: Case, scorer: Scorer) -> float:
    known, key = scorer.cache.get(_Surroundings), position[part].tobytes()
    if key not in known:
        known[key] = near(position[part])
    return pointing_hit(attribution, known[key], case.fov.numpy())


auroc_vessels, auroc_thin, auroc_thick = _for_parts(
    "auroc",
    _against_background(Levels.roc),
    "ROC area of the map for {} against field-of-view pixels without a vessel; .5 is chance [hanley1982].",
    (0, 1),
    invariant="rank",
    chance=0.5,
    paper="hanley1982",
    explanation="Does the map lie on {} rather than on the background? .5 is chance.",
    main={"thin": 3, "thick": 4},
)
ap_vessels, ap_thin, ap_thick = _for_parts(
    "ap",
    _against_background(Levels.average_precision),
    "Average precision of the map for {} against field-of-view pixels without a vessel [davis2006].",
    (0, 1),
    invariant="rank",
    paper="davis2006",
    suites=("standard", "full"),
)
mass_vessels, mass_thin, mass_thick = _for_parts(
    "mass",
    _within(mass_share),
    "Share of the positive attribution that lies on {} [arras2022].",
    (0, 1),
    invariant="scale",
    paper="arras2022",
)
lift_vessels, lift_thin, lift_thick = _for_parts(
    "lift",
    _within(lift_of),
    "Mass share of {} ÷ their share of the area; 1 is chance [arras2022, adapted].",
    (0, math.inf),
    invariant="scale",
    chance=1,
    paper="arras2022",
    explanation="How many times more attribution {} hold than their area would by chance; 1 is chance.",
    main={"thin": 5, "thick": 6},
)
rank_vessels, rank_thin, rank_thick = _for_parts(
    "rank",
    _top_share,
    "Share of {} among as many most attributed pixels [arras2022].",
    (0, 1),
    invariant="rank",
    paper="arras2022",
    suites=("standard", "full"),
)
pointing_vessels, pointing_thin, pointing_thick = _for_parts(
    "pointing",
    _pointing,
    "Whether the highest pixel lies within 2 px of {} [zhang2018].",
    (0, 1),
    invariant="rank",
    paper="zhang2018",
    suites=("standard", "full"),
)


@metric(
    "thin-gap",
    family="overlap",
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
    home = _home(case, radius, "thin", "thick")
    lifts = lambda position: [lift_of(attribution, position[part], case.fov.numpy()) for part in ("thin", "thick")]
    thin, thick = lifts(home)
    if thin == 0 or thick == 0:
        raise Skipped(f"no positive attribution on {'thin' if thin == 0 else 'thick'} vessels, so the gap is infinite")

    def against(position: Position) -> float:
        there = lifts(position)
        return _gap(*there) if min(there) > 0 else math.nan

    nulls = _nulls(against, _elsewhere(case, scorer, radius), PARTS)
    return Score(_gap(thin, thick), null=() if any(map(math.isnan, nulls)) else nulls)


def _gap(thin: float, thick: float) -> float:
    """log₂ of thick ÷ thin; 0 where they differ only by rounding."""
    return 0.0 if math.isclose(thin, thick, rel_tol=1e-12) else math.log2(thick / thin)
