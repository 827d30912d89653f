"""Response of a map to vessel width, vessel contrast, and distance from the target.

Vessels are cut into segments. The density of a segment is the mean positive attribution on its pixels ÷ the mean in the
field of view: 1 is chance. A map without positive attribution counts as uniform. Beside its value a score keeps its
null: what the same map scores against the segments rotated and mirrored in the field of view.
"""

import math
from dataclasses import fields
from functools import partial

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.stats import rankdata

from xaibench.data.anatomy.caliber import THIN_RADIUS, is_thin
from xaibench.data.anatomy.segments import Segments, mean_by, vessel_segments
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.score import Score, as_curve, in_positions
from xaibench.metrics.similarity import correlation, turned
from xaibench.parameter_checks import above_zero, open_unit
from xaibench.registry import metric
from xaibench.scorer import Scorer, Target

WIDEST = 8  # px at DRIVE's scale; wider vessels are rare and count as this wide
BINS = 10  # deciles of contrast
LEAST = 5  # segments; fewer support neither a rank correlation nor a match
MIRRORED = {"mirrored": "the skeleton of a mirrored image can lie a pixel off, which moves the ends of segments"}
RADII = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128)  # px at DRIVE's scale
of_segments = partial(metric, family="overlap", invariant="scale", chance=0.0, known_failures=MIRRORED)


def _positions(case: Case) -> list[Segments]:
    """The segments as they are, and in the seven other orientations, without those outside the field of view."""
    home = vessel_segments(case)
    found = [home]
    for labels in turned(home.labels, case.fov.numpy(), -1):
        seen, numbers = np.unique(labels[labels >= 0], return_inverse=True)
        here = np.full_like(labels, -1)
        here[labels >= 0] = numbers
        each = {f.name: getattr(home, f.name)[seen] for f in fields(home) if f.name not in ("labels", "centreline")}
        each["pixels"] = np.bincount(numbers, minlength=seen.size)
        found.append(Segments(labels=here, centreline=np.full_like(here, -1), **each))
    return found


def relative(attribution: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """(H, W) float64 positive attribution ÷ its mean in the field of view; 1 everywhere if nothing is positive.

    Args:
        attribution: (H, W).
        fov: (H, W) bool, not empty.

    Example:
        >>> relative(np.array([[3.0, -1.0, 1.0, 9.0]]), np.array([[True, True, True, False]])).round(2).tolist()
        [[2.25, 0.0, 0.75, 6.75]]
    """
    positive = np.maximum(np.asarray(attribution, np.float32), 0).astype(np.float64)
    mean = positive[fov].mean()
    return positive / mean if mean > 0 else np.ones_like(positive)


def widths(caliber: np.ndarray, scale: float) -> np.ndarray:
    """(n,) int, 2 · radius − 1 px of this image, in whole px at DRIVE's scale, from 1 to 8.

    Args:
        caliber: (n,) radii, px.
        scale: size of a DRIVE pixel in this image's pixels.

    Example:
        >>> widths(np.array([0.8, 1.0, 2.0, 9.0]), 1.0).tolist()
        [1, 1, 3, 8]
        >>> widths(np.array([3.5, 9.5]), 6.0).tolist()
        [1, 3]
    """
    return np.clip(np.rint((2 * caliber - 1) / scale), 1, WIDEST).astype(int)


def contrast_bins(contrast: np.ndarray) -> np.ndarray:
    """(n,) int, the decile 0 … 9 of each contrast, and 10 for NaN; equal values share a decile, so some can be empty.

    Example:
        >>> contrast_bins(np.array([0.1, 0.3, np.nan, 0.2, 0.3])).tolist()
        [0, 9, 10, 3, 9]
    """
    known = np.isfinite(contrast)
    bins = np.full(contrast.size, BINS)
    if known.any():
        edges = np.quantile(contrast[known], np.arange(1, BINS) / BINS)
        bins[known] = np.searchsorted(edges, contrast[known], side="right")
    return bins


@of_segments("caliber-response", better="zero", range=(-math.inf, math.inf))
def caliber_response(attribution: np.ndarray, case: Case, scorer: Scorer) -> Score:
    """Slope of the density on vessels over their width, per px at DRIVE's scale; 0 is no response to width.

    The curve is the density on the segments of each width, 2 · radius − 1 px, from 1 to 8 (and more). The line is
    fitted by least squares with the pixels as weights.

    Raises:
        Skipped: if the vessels do not have at least two widths.
    """
    density = relative(attribution, case.fov.numpy())

    def slope(segments: Segments) -> tuple[float, np.ndarray, np.ndarray]:
        width = widths(segments.caliber, case.scale)
        pixels = np.bincount(width, segments.pixels)
        x = np.flatnonzero(pixels)
        if x.size < 2:
            raise Skipped(
                f"the vessels of case {case.id} have {x.size} width{'s' * (x.size != 1)}, and a slope needs 2"
            )
        weight = pixels[x]
        y = _mean_by(width, segments, density)[x]
        off = x - np.average(x, weights=weight)
        return float((weight * off * (y - np.average(y, weights=weight))).sum() / (weight * off**2).sum()), x, y

    positions = scorer.cache.get(_positions, case)
    _, x, y = slope(positions[0])
    return in_positions(lambda segments: slope(segments)[0], positions, as_curve(x, y))


@of_segments("contrast-response", better="none", range=(-1, 1))
def contrast_response(attribution: np.ndarray, case: Case, scorer: Scorer) -> Score:
    """Spearman ρ between the density on vessel segments and their local contrast; a constant map scores 0.

    The curve is the density in each decile of the contrast, over the decile's mean contrast. The value is invariant to
    the scale of the map only: a segment's density is a mean, and a monotone transform of pixels can change its rank.

    Raises:
        Skipped: if fewer than 5 segments have a contrast, or all have the same.
    """
    positions = scorer.cache.get(_positions, case)
    segments = positions[0]
    bins = contrast_bins(segments.contrast)
    known = bins < BINS
    contrast = segments.contrast[known]
    if known.sum() < LEAST:
        raise Skipped(f"{known.sum()} segments of case {case.id} have a contrast, and {LEAST} are needed")
    if np.ptp(contrast) == 0:
        raise Skipped(f"all segments of case {case.id} have the same contrast")
    density = relative(attribution, case.fov.numpy())
    filled = np.unique(bins[known])
    x = np.array([segments.contrast[bins == b].mean() for b in filled])
    # Ranks of the means before the division, whose rounding would separate equal segments.
    positive = np.maximum(np.asarray(attribution, np.float32), 0)

    def against(segments: Segments) -> float:
        seen = np.isfinite(segments.contrast)
        return correlation(rankdata(segments.mean(positive)[seen]), rankdata(segments.contrast[seen]))

    return in_positions(against, positions, as_curve(x, _mean_by(bins, segments, density)[filled]))


@of_segments(
    "thin-gap-matched",
    better="zero",
    range=(-math.inf, math.inf),
    explanation="Does the map favour thick (+) or thin (−) vessels of like contrast? +1 is twice as much on thick.",
    main=8,
)
def thin_gap_matched(attribution: np.ndarray, case: Case, scorer: Scorer, *, radius: float = THIN_RADIUS) -> Score:
    """log₂ of the density on thick ÷ thin vessels of equal contrast; 0 is even-handed, +1 twice as much on thick ones.

    Thin vessels also have low contrast. Here both kinds are compared within deciles of the local contrast; the weight
    of a decile is the smaller of the two pixel counts in it.

    Args:
        attribution: (H, W).
        case: the image with its vessels.
        scorer: caches what all maps share.
        radius: largest radius of a thin segment, px at DRIVE's scale.

    Raises:
        UserError: if the radius is not positive.
        Skipped: if fewer than 5 thin or 5 thick segments have a counterpart, or one density is 0: the gap is infinite.
    """
    above_zero("radius", radius)
    density = relative(attribution, case.fov.numpy())

    def gap(segments: Segments) -> float:
        bins = contrast_bins(segments.contrast)
        slender = is_thin(segments.caliber, case.scale, radius)
        kinds = ((bins < BINS) & slender, (bins < BINS) & ~slender)
        both = np.logical_and(*(np.bincount(bins[kind], minlength=BINS + 1) > 0 for kind in kinds))
        thin, thick = (int(both[bins[kind]].sum()) for kind in kinds)
        if min(thin, thick) < LEAST:
            raise Skipped(f"{thin} thin and {thick} thick segments have like contrast, and {LEAST} of each are needed")
        area = [np.bincount(bins[kind], segments.pixels[kind], BINS + 1)[both] for kind in kinds]
        weight = np.minimum(*area)
        total = segments.mean(density) * segments.pixels
        lift = [
            (weight * np.bincount(bins[kind], total[kind], BINS + 1)[both] / pixels).sum() / weight.sum()
            for kind, pixels in zip(kinds, area, strict=True)
        ]
        if min(lift) == 0:
            raise Skipped(f"no positive attribution on matched {'thin' if lift[0] == 0 else 'thick'} vessels")
        return math.log2(lift[1] / lift[0])

    return in_positions(gap, scorer.cache.get(_positions, case))


@metric("context", family="overlap", better="none", range=(0, math.inf), invariant="scale")
def context(attribution: np.ndarray, case: Case, scorer: Scorer, *, share: float = 0.5) -> Score:
    """Radius around the target that holds a share of Σ|a|, by default half, in px at DRIVE's scale.

    Distances are Euclidean, from the nearest pixel of the target, in this image's pixels ÷ the size of a DRIVE pixel,
    so that images of any resolution are comparable. The curve is the share within 0 … 128 px. The score of a constant
    map depends on the target.

    Args:
        attribution: (H, W); an all-zero map counts as uniform.
        case: the image with its field of view and scale.
        scorer: the scorer with the target.
        share: of Σ|a| in the field of view, between 0 and 1.

    Raises:
        UserError: for a share outside (0, 1).
    """
    open_unit("share", share)
    fov = case.fov.numpy()
    away = scorer.cache.get(_distance_from, scorer.target)[fov] / case.scale
    amount = np.abs(np.asarray(attribution, np.float32)[fov]).astype(np.float64)
    if not amount.any():
        amount[:] = 1
    order = np.argsort(away, kind="stable")
    away, held = away[order], np.cumsum(amount[order])
    radius = away[min(np.searchsorted(held, share * held[-1]), away.size - 1)]
    within = np.searchsorted(away, RADII, side="right")
    return Score(float(radius), as_curve(np.array(RADII), np.concatenate([[0], held])[within] / held[-1]))


def _distance_from(target: Target) -> np.ndarray:
    """(H, W) distance from the target's pixels, px."""
    distance: np.ndarray = distance_transform_edt(~(target.mask & target.fov).numpy())
    return distance


def _mean_by(group: np.ndarray, segments: Segments, density: np.ndarray) -> np.ndarray:
    """(k,) mean of an (H, W) array over the pixels of the segments of each group 0 … k − 1; NaN for an empty one."""
    with np.errstate(invalid="ignore"):
        return mean_by(np.where(segments.labels >= 0, group[segments.labels], -1), density)
