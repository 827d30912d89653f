"""False positives: attribution on them, and their similarity to vessels.

A network may err where the texture looks like a vessel. So false positives are compared with background that looks as
much like a vessel to a vessel filter and is not predicted as one.

The edge of a labelled vessel is uncertain by a pixel or two, and most false-positive pixels lie there. They are not
false vessels. So a false-positive component is a connected part of the prediction farther than 2 px from every labelled
vessel, of at least 4 px², both at DRIVE's scale. True negatives lie as far from every labelled vessel and from every
predicted pixel, so that attribution spreading from there is not counted.

On DRIVE's test images 01 and 02 unet-drive has 6433 and 4617 px of false positives; 174 and 207 px lie beyond the rim,
in 20 and 19 components. The connected components of all false positives that reach beyond the rim would be 63 and 49,
but more than half of their pixels lie on the edges of vessels.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from xaibench.data.anatomy.caliber import DRIVE_FOV_DIAMETER, fov_scale
from xaibench.data.anatomy.segments import mean_by
from xaibench.data.anatomy.vesselness import vesselness
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.localisation.width_response import relative
from xaibench.metrics.score import Score
from xaibench.registry import metric
from xaibench.scorer import Scorer, Target
from xaibench.scorer.target import THRESHOLD

# Values between the distances and areas that occur on a pixel grid: DRIVE's fields of view are 535 to 541 px wide, and
# with exactly 2 and 4 this variation of the scale would decide the borderline cases.
RIM = 2.1  # px at DRIVE's scale
SMALLEST = 3.9  # px² at DRIVE's scale
BINS = 20  # quantiles of vesselness
PLACEMENTS = 50
TRIES = 40  # random positions per placement
RING = 0.1  # tolerance of the distance from the centre, as a share of the radius of the field of view


@dataclass(frozen=True, eq=False)
class FalsePositives:
    """The false-positive components of a prediction, numbered 0 … n − 1, and the background for comparison.

    Attributes:
        labels: (H, W) int32, the component of each pixel; −1 elsewhere.
        negatives: (H, W) bool, true negatives farther than the rim from anything labelled or predicted.
        vesselness: (H, W) float32, see :func:`xaibench.data.anatomy.vesselness.vesselness`.
    """

    labels: np.ndarray
    negatives: np.ndarray
    vesselness: np.ndarray

    def __len__(self) -> int:
        return int(self.labels.max(initial=-1)) + 1

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(n,) mean of an (H, W) array over the pixels of each component."""
        return mean_by(self.labels, values, len(self))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Each of n components compared with other places of the same image.

    Attributes:
        pixels: (n,) int, area in px.
        y, x: (n,) int, the component's pixel nearest to its centre of gravity.
        vesselness: (n,) mean over the component's pixels.
        matched: (n,) mean over its placements; NaN if it fits nowhere.
        percentile: (n,) share of placements with lower vesselness, ties counting half, in [0, 1]; NaN likewise.
    """

    pixels: np.ndarray
    y: np.ndarray
    x: np.ndarray
    vesselness: np.ndarray
    matched: np.ndarray
    percentile: np.ndarray


def false_positives(case: Case, prediction: np.ndarray) -> FalsePositives:
    """The false-positive components of a prediction.

    Args:
        case: the image with its labels, field of view and scale.
        prediction: (H, W) vessel probability.
    """
    fov, vessels = case.fov.numpy(), case.vessels.numpy()
    predicted = (prediction >= THRESHOLD) & fov
    labels, count = label(predicted & _far_from(vessels, case.scale), np.ones((3, 3)))
    large = np.flatnonzero(np.bincount(labels.ravel(), minlength=count + 1)[1:] >= SMALLEST * case.scale**2) + 1
    number = np.full(count + 1, -1, np.int32)
    number[large] = np.arange(large.size)
    map_ = vesselness(case.image[1].numpy(), fov, scale=case.scale)
    return FalsePositives(number[labels], fov & _far_from(vessels | predicted, case.scale), map_)


def compare(found: FalsePositives, fov: np.ndarray, *, rng: np.random.Generator) -> Comparison:
    """Place the shape of each component on true negatives, and compare the vesselness there with its own.

    A placement is rotated by a multiple of 90° or mirrored, and is as far from the centre of the field of view within a
    tenth of its radius, since light and sharpness change towards the edge. Up to 50 are drawn; a large component may
    fit less often, or nowhere.

    Args:
        found: the components.
        fov: (H, W) bool.
        rng: draws the placements.
    """
    values = found.vesselness.astype(np.float64)
    pixels, y, x = np.zeros((3, len(found)), int)
    own, matched, percentile = np.full((3, len(found)), np.nan)
    for i in range(len(found)):
        shape = np.argwhere(found.labels == i)
        middle = shape[np.square(shape - shape.mean(0)).sum(1).argmin()]
        pixels[i], (y[i], x[i]) = len(shape), middle
        own[i] = values[tuple(shape.T)].mean()
        others = values[tuple(np.moveaxis(_placements(shape, middle, found, fov, rng), 2, 0))].mean(1)
        if others.size:
            matched[i], percentile[i] = others.mean(), (others < own[i]).mean() + (others == own[i]).mean() / 2
    return Comparison(pixels, y, x, own, matched, percentile)


def _far_from(mask: np.ndarray, scale: float) -> np.ndarray:
    """(H, W) bool: the pixels farther than the rim from a mask."""
    if not mask.any():
        return np.ones(mask.shape, bool)
    far: np.ndarray = distance_transform_edt(~mask) > RIM * scale
    return far


def _placements(
    pixels: np.ndarray, middle: np.ndarray, found: FalsePositives, fov: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(k, n, 2) coordinates of the n pixels of a component in up to 50 placements on true negatives."""
    centre, radius = np.argwhere(fov).mean(0), fov_scale(fov) * DRIVE_FOV_DIAMETER / 2
    negatives = np.argwhere(found.negatives)
    away = np.hypot(*(negatives - centre).T)
    ring = negatives[np.abs(away - np.hypot(*(middle - centre))) <= RING * radius]
    if not len(ring):
        return np.empty((0, *pixels.shape), int)
    anchors = ring[rng.integers(len(ring), size=PLACEMENTS * TRIES)]
    # The eight symmetries of the square: axes swapped, signs changed.
    signs, swapped = rng.choice([-1, 1], (len(anchors), 1, 2)), rng.random(len(anchors)) < 0.5
    shape = pixels - middle
    turned = np.where(swapped[:, None, None], shape[:, ::-1], shape) * signs
    places = anchors[:, None] + turned
    inside = ((places >= 0) & (places < fov.shape)).all(2)
    y, x = np.where(inside[..., None], places, 0).transpose(2, 0, 1)
    fits = (inside & found.negatives[y, x]).all(1)
    chosen: np.ndarray = places[fits][:PLACEMENTS]
    return chosen


@metric(
    "fp-lift",
    family="overlap",
    better="none",
    range=(0, float("inf")),
    invariant="scale",
    chance=1.0,
    explanation="Attribution on false positives ÷ that on other background that looks as much like a vessel.",
    main=11,
)
def fp_lift(attribution: np.ndarray, case: Case, scorer: Scorer) -> Score:
    """Density on false-positive components ÷ that on true negatives of the same Frangi vesselness; 1 is no difference.

    The true negatives are weighted so that both groups have the same distribution over 20 quantile bins of the false
    positives' vesselness. False positives with a higher vesselness than any true negative are left out.

    Raises:
        Skipped: if the case has no labels, there is no such component, less than half of their pixels have a
            counterpart, or nothing is attributed to the counterparts: the lift is infinite.
    """
    if not case.labelled:
        raise Skipped(f"case {case.id} has no labels")
    false, true = scorer.cache.get(_matched_pixels, case, scorer.target)
    if not false.any():
        raise Skipped(f"the prediction on case {case.id} has no false-positive component that can be matched")
    density = relative(attribution, case.fov.numpy())
    above, below = (float((weight * density).sum() / weight.sum()) for weight in (false, true))
    if below == 0:
        raise Skipped("no positive attribution on true negatives that look like the false positives")
    return Score(above / below)


def _matched_pixels(case: Case, target: Target) -> tuple[np.ndarray, np.ndarray]:
    found = false_positives(case, target.prediction.numpy())
    return matched_weights(found.vesselness, found.labels >= 0, found.negatives)


def matched_weights(values: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel weights that give two masks the same distribution of values over 20 quantile bins of the first.

    Args:
        values: (H, W).
        one, other: (H, W) bool.

    Returns:
        Two (H, W) float64: 1 on the pixels of ``one`` that have a counterpart, and the weights of the pixels of
        ``other``, with the same sum; all 0 if less than half of ``one`` has a counterpart.

    Example:
        >>> values = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 9.0])
        >>> one = np.array([True, True, False, True, False, False])
        >>> [weight.tolist() for weight in matched_weights(values, one, ~one)]
        [[1.0, 1.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0, 1.0, 0.0]]
    """
    weights = np.zeros(values.shape), np.zeros(values.shape)
    if not one.any():
        return weights
    edges = np.unique(np.quantile(values[one], np.linspace(0, 1, BINS + 1)))
    bins = np.searchsorted(edges[1:-1], values, side="right")
    other = other & (values >= edges[0]) & (values <= edges[-1])
    counts, others = (np.bincount(bins[mask], minlength=BINS) for mask in (one, other))
    if counts[others > 0].sum() < counts.sum() / 2:
        return weights
    weights[0][one] = (others > 0)[bins[one]]
    weights[1][other] = (counts / np.maximum(others, 1))[bins[other]]
    return weights
