"""Localisation: which vessels a map shows.

Pure functions on arrays, and under them the metrics for all vessels, thin ones and thick ones. Each compares the map
inside the field of view with one mask; a map that is constant or all zero scores exactly as chance does, and an empty
mask has no score.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.stats import rankdata

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.score import Score
from xaibench.registry import Plugin, metric

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
    n, m = positive.size, negative.size
    ranks = rankdata(np.concatenate([positive, negative]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def mass_share(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray) -> float:
    """Share of the positive attribution in the field of view that lies on the mask (Arras 2022).

    Args:
        attribution: (H, W).
        mask, fov: (H, W) bool, the mask inside the field of view.

    Returns:
        In [0, 1]; the mask's share of the area if nothing is positive.
    """
    positive = np.maximum(attribution, 0).astype(np.float64)
    total = positive[fov].sum()
    return min(float(positive[mask].sum() / total), 1.0) if total > 0 else float(mask.sum() / fov.sum())


def top_share(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray) -> float:
    """Share of the mask's size that its |mask| most attributed pixels cover, ties in expectation (Arras 2022).

    Returns:
        In [0, 1]; chance is the mask's share of the area.
    """
    values, inside = attribution[fov], mask[fov]
    size = int(inside.sum())
    threshold = np.partition(values, values.size - size)[values.size - size]
    above, tied = values > threshold, values == threshold
    places = size - int(above.sum())  # what is left for the tied pixels
    return float((inside[above].sum() + places * inside[tied].mean()) / size)


def pointing_hit(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray, radius: float = POINTING_RADIUS) -> float:
    """Whether the highest pixel lies within ``radius`` px of the mask, ties in expectation (Zhang 2018).

    Returns:
        1 or 0, or the share of hits among pixels that tie for the maximum.
    """
    values = attribution[fov]
    near = (distance_transform_edt(~mask) <= radius)[fov]
    return float(near[values == values.max()].mean())


def lift_of(attribution: np.ndarray, mask: np.ndarray, fov: np.ndarray) -> float:
    """Share of the positive attribution on the mask ÷ the mask's share of the area: 1 is chance."""
    return mass_share(attribution, mask, fov) * float(fov.sum()) / float(mask.sum())


def _part(case: Case, part: str) -> np.ndarray:
    mask: np.ndarray = {"vessels": case.vessels, "thin": case.thin, "thick": case.thick}[part].numpy()
    if not mask.any():
        raise Skipped(f"case {case.id} has no {'vessel' if part == 'vessels' else part + ' vessel'} pixels")
    return mask


def _for_parts(
    stem: str, compute: Callable[[np.ndarray, np.ndarray, Case], float], what: str, range: tuple[float, float]
) -> tuple[Plugin, Plugin, Plugin]:
    """The metrics ``stem-vessels``, ``stem-thin`` and ``stem-thick``."""

    def declare(part: str) -> Plugin:
        def score(attribution: np.ndarray, case: Case, scorer: Any, *, rng: np.random.Generator) -> Score:
            return Score(compute(np.asarray(attribution), _part(case, part), case))

        score.__doc__ = what.format("vessels" if part == "vessels" else f"{part} vessels")
        return metric(f"{stem}-{part}", family="overlap", better="higher", range=range)(score)

    return declare("vessels"), declare("thin"), declare("thick")


def _auroc(attribution: np.ndarray, mask: np.ndarray, case: Case) -> float:
    negatives = (case.fov & ~case.vessels).numpy()
    if not negatives.any():
        raise Skipped(f"case {case.id} has no field-of-view pixel without a vessel")
    return area_under_roc(attribution[mask], attribution[negatives])


def _within(function: Callable[..., float]) -> Callable[[np.ndarray, np.ndarray, Case], float]:
    return lambda attribution, mask, case: function(attribution, mask, case.fov.numpy())


auroc_vessels, auroc_thin, auroc_thick = _for_parts(
    "auroc", _auroc, "ROC area of the map for {} against field-of-view pixels without a vessel; .5 is chance.", (0, 1)
)
mass_vessels, mass_thin, mass_thick = _for_parts(
    "mass", _within(mass_share), "Share of the positive attribution that lies on {} (Arras 2022).", (0, 1)
)
lift_vessels, lift_thin, lift_thick = _for_parts(
    "lift", _within(lift_of), "Mass share of {} ÷ their share of the area; 1 is chance.", (0, math.inf)
)
rank_vessels, rank_thin, rank_thick = _for_parts(
    "rank", _within(top_share), "Share of {} among as many most attributed pixels (Arras 2022).", (0, 1)
)
pointing_vessels, pointing_thin, pointing_thick = _for_parts(
    "pointing", _within(pointing_hit), "Whether the highest pixel lies within 2 px of {} (Zhang 2018).", (0, 1)
)


@metric("thin-gap", family="overlap", better="zero", range=(-math.inf, math.inf))
def thin_gap(attribution: np.ndarray, case: Case, scorer: Any, *, rng: np.random.Generator) -> Score:
    """log₂ of lift on thick ÷ lift on thin vessels: 0 is even-handed, +1 twice as much on thick ones.

    Raises:
        Skipped: if there is no thin or no thick vessel, or no positive attribution on one of them: the gap is infinite.
    """
    thin, thick = (lift_of(np.asarray(attribution), _part(case, p), case.fov.numpy()) for p in ("thin", "thick"))
    if thin == 0 or thick == 0:
        raise Skipped(f"no positive attribution on {'thin' if thin == 0 else 'thick'} vessels, so the gap is infinite")
    return Score(math.log2(thick / thin))
