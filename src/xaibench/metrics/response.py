"""What a map responds to: the width of a vessel, its contrast, or merely how near it is to what is explained.

Vessels are cut into segments, and a segment's density is the mean positive attribution on its pixels ÷ that in the
field of view, so that 1 is chance. A map without any positive attribution counts as uniform.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.stats import rankdata

from xaibench.arguments import open_unit
from xaibench.data.case import Case
from xaibench.data.segments import Segments, vessel_segments
from xaibench.errors import Skipped
from xaibench.metrics.score import Score
from xaibench.registry import metric
from xaibench.scorer import Scorer

WIDEST = 8  # px at DRIVE's scale; what is wider is so rare that it counts with it
BINS = 10  # of contrast
LEAST = 5  # segments, below which neither a rank correlation nor a match says anything
MIRRORED = "a skeleton can lie a pixel elsewhere in a mirror, which moves where segments end"
RADII = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128)  # px at DRIVE's scale


def segments_of(case: Case, scorer: Scorer) -> Segments:
    """The vessel segments of a case, cut once for all maps."""
    return scorer.shared(("segments", case.digest), lambda: vessel_segments(case))


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
    """(n,) int, 2 · radius − 1 in whole px at DRIVE's scale, from 1 to 8.

    Args:
        caliber: (n,) radii, px.
        scale: size of a DRIVE pixel in this image's pixels.

    Example:
        >>> widths(np.array([0.8, 1.0, 2.0, 9.0]), 1.0).tolist()
        [1, 1, 3, 8]
    """
    return np.clip(np.rint(2 * caliber / scale - 1), 1, WIDEST).astype(int)


def contrast_bins(contrast: np.ndarray) -> np.ndarray:
    """(n,) int, the decile 0 … 9 of each contrast, and 10 for NaN; equal ones are never parted, so some can be empty.

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


@metric(
    "caliber-response",
    family="overlap",
    better="zero",
    range=(-math.inf, math.inf),
    invariant="scale",
    chance=0.0,
    known_failures={"mirrored": MIRRORED},
)
def caliber_response(attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator) -> Score:
    """Slope of the density on vessels over their width, per px at DRIVE's scale; 0 responds to no width.

    The curve is the density on the segments of each width, 2 · radius − 1 px from 1 to 8 (and more); the line is
    fitted to it by least squares with the pixels as weights.

    Raises:
        Skipped: if the vessels do not have at least two widths.
    """
    segments = segments_of(case, scorer)
    width = widths(segments.caliber, case.scale)
    pixels = np.bincount(width, segments.pixels)
    x = np.flatnonzero(pixels)
    if x.size < 2:
        raise Skipped(f"the vessels of case {case.id} have {x.size} width{'s' * (x.size != 1)}, and a slope needs 2")
    weight = pixels[x]
    y = _mean_by(width, segments, relative(attribution, case.fov.numpy()))[x]
    off = x - np.average(x, weights=weight)
    slope = (weight * off * (y - np.average(y, weights=weight))).sum() / (weight * off**2).sum()
    return Score(float(slope), _curve(x, y))


@metric(
    "contrast-response",
    family="overlap",
    better="none",
    range=(-1, 1),
    invariant="scale",
    chance=0.0,
    known_failures={"mirrored": MIRRORED},
)
def contrast_response(attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator) -> Score:
    """Spearman ρ between the density on vessel segments and their local contrast; a constant map scores 0.

    The curve is the density in each decile of the contrast, over the decile's mean contrast. Only ratios of the map's
    values count: a segment's density is a mean, whose rank a monotone transform of single pixels can change.

    Raises:
        Skipped: if fewer than 5 segments have a contrast, or all have the same.
    """
    segments = segments_of(case, scorer)
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
    # Ranks of the means before any division, whose rounding would part segments that are alike.
    plain = segments.mean(np.maximum(np.asarray(attribution, np.float32), 0))[known]
    return Score(_spearman(plain, contrast), _curve(x, _mean_by(bins, segments, density)[filled]))


@metric(
    "thin-gap-matched",
    family="overlap",
    better="zero",
    range=(-math.inf, math.inf),
    invariant="scale",
    chance=0.0,
    known_failures={"mirrored": MIRRORED},
)
def thin_gap_matched(attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator) -> Score:
    """log₂ of the density on thick ÷ thin vessels of like contrast; 0 is even-handed, +1 twice as much on thick ones.

    Thin vessels are also faint ones. Here both kinds are compared within deciles of the local contrast, and a decile
    weighs as many pixels as the kind has that has fewer in it.

    Raises:
        Skipped: if fewer than 5 thin or 5 thick segments have a counterpart, or one density is 0: the gap is infinite.
    """
    segments = segments_of(case, scorer)
    bins = contrast_bins(segments.contrast)
    kinds = ((bins < BINS) & segments.thin, (bins < BINS) & ~segments.thin)
    both = np.logical_and(*(np.bincount(bins[kind], minlength=BINS + 1) > 0 for kind in kinds))
    thin, thick = (int(both[bins[kind]].sum()) for kind in kinds)
    if min(thin, thick) < LEAST:
        raise Skipped(f"{thin} thin and {thick} thick segments have like contrast, and {LEAST} of each are needed")
    area = [np.bincount(bins[kind], segments.pixels[kind], BINS + 1)[both] for kind in kinds]
    weight = np.minimum(*area)
    total = segments.mean(relative(attribution, case.fov.numpy())) * segments.pixels
    lift = [
        (weight * np.bincount(bins[kind], total[kind], BINS + 1)[both] / pixels).sum() / weight.sum()
        for kind, pixels in zip(kinds, area, strict=True)
    ]
    if min(lift) == 0:
        raise Skipped(f"no positive attribution on matched {'thin' if lift[0] == 0 else 'thick'} vessels")
    return Score(math.log2(lift[1] / lift[0]))


@metric("context", family="overlap", better="none", range=(0, math.inf), invariant="scale")
def context(
    attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator, share: float = 0.5
) -> Score:
    """Radius around the target that holds a share of Σ|a|, by default half, in px at DRIVE's scale.

    Distances are Euclidean, from the nearest pixel of the target, and in this image's pixels ÷ the size of a DRIVE
    pixel, so that images of any resolution compare. The curve is the share within 0 … 128 px. What a constant map
    scores depends on the target.

    Args:
        attribution: (H, W), a map without any attribution counts as uniform.
        case: for its field of view and scale.
        scorer: for its target.
        rng: not used.
        share: of Σ|a| in the field of view, between 0 and 1.

    Raises:
        UserError: for a share outside (0, 1).
    """
    open_unit("share", share)
    fov = case.fov.numpy()
    place = (scorer.target.mask & scorer.target.fov).numpy()
    away = scorer.shared("distance from the target", lambda: distance_transform_edt(~place))[fov] / case.scale
    amount = np.abs(np.asarray(attribution, np.float32)[fov]).astype(np.float64)
    if not amount.any():
        amount[:] = 1
    order = np.argsort(away, kind="stable")
    away, held = away[order], np.cumsum(amount[order])
    radius = away[min(np.searchsorted(held, share * held[-1]), away.size - 1)]
    within = np.searchsorted(away, RADII, side="right")
    return Score(float(radius), _curve(np.array(RADII), np.concatenate([[0], held])[within] / held[-1]))


def _mean_by(group: np.ndarray, segments: Segments, density: np.ndarray) -> np.ndarray:
    """(k,) mean of an (H, W) array over the pixels of the segments of each group 0 … k − 1; NaN for an empty one."""
    inside = segments.labels >= 0
    of = group[segments.labels[inside]]
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.bincount(of, density[inside]) / np.bincount(of)
    return mean


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation; 0 where either is constant, which no order agrees or disagrees with."""
    x, y = (rankdata(v) - (v.size + 1) / 2 for v in (a, b))
    norm = math.sqrt(float((x @ x) * (y @ y)))
    return float(np.clip((x @ y) / norm, -1, 1)) if norm else 0.0


def _curve(x: np.ndarray, y: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(map(float, x)), tuple(map(float, y))
