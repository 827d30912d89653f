"""Planted ground truth: a method explains a segmenter whose exact attribution has a closed form.

The case's own image is given to a white box, see :mod:`xaibench.models.networks.white_box`. The method explains what
the white box takes for vessels, and its map is compared with the Shapley values of all pixels. They are relative to a
reference image: the one that the method's parameter ``baseline`` names, and ``blur`` for methods without one. A method
that does not declare itself signed shows how much a pixel matters but not in which direction, so its map is compared
with the absolute Shapley values; a signed one with the values themselves.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from xaibench.data.case import Case
from xaibench.data.regions import REGIONS, superpixels
from xaibench.errors import Skipped, UserError
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score, as_curve
from xaibench.metrics.similarity import area_under_roc, correlation
from xaibench.models.evaluate import predict
from xaibench.models.networks.white_box import WhiteBox, white_box
from xaibench.registry import metric
from xaibench.scorer import Scorer, Target
from xaibench.scorer.batching import Engine
from xaibench.scorer.target import THRESHOLD

CELLS = (1, 2, 4, 8, 16, 32)  # px, side of the squares that the curve sums over
of_truth = partial(metric, family="truth", better="higher", measures="method")
SHARE = 0.9  # share of Σ|Shapley value| that the deciding pixels hold


@dataclass(frozen=True, eq=False)
class Planted:
    """A map and the exact Shapley values at the n pixels of the field of view.

    Attributes:
        place: (2, n) rows and columns.
        map: (n,) values of the method's map.
        truth: (n,) exact Shapley values.
        signed: whether the method is signed.
        region: (n,) the method's own region of each pixel, from 0; None for a method without regions.
    """

    place: np.ndarray
    map: np.ndarray
    truth: np.ndarray
    signed: bool
    region: np.ndarray | None


@of_truth("planted", range=(-1, 1), chance=0.0)
def planted(case: Case, scorer: Scorer, *, method: Method, segmenter: str = "linear") -> Score:
    """Correlation of the method's map of a white-box segmenter with the exact Shapley values of its pixels or regions.

    Pearson's r over the field of view, with the absolute Shapley values for unsigned methods; 0 for a constant map. A
    method with the parameters ``segments`` and ``regions`` (see :func:`~xaibench.data.regions.superpixels`) explains
    regions: its map is compared with the mean of the truth in each region. How well regions resolve pixels is shown by
    ``planted-pixels`` and by the curve, which is the same for all methods: r of the sums of map and truth over square
    cells of 1 to 32 px.

    Args:
        case: the image that the white box reads.
        scorer: caches the map for the other metrics of this white box.
        method: the explainer.
        segmenter: ``"linear"``, ``"thick"`` (reads no thin vessel) or ``"marker"`` (needs a marker elsewhere in the
            image), see :func:`~xaibench.models.networks.white_box.white_box`.

    Raises:
        UserError: if there is no such segmenter.
        Skipped: if the white box predicts no vessel, or the method cannot explain it.
    """
    pixels = scorer.cache.get(_explained, method, case, scorer, segmenter)
    truth = pixels.truth if pixels.signed else np.abs(pixels.truth)
    curve = [correlation(_sums(pixels.map, pixels.place, side), _sums(truth, pixels.place, side)) for side in CELLS]
    if pixels.region is not None:
        area = np.bincount(pixels.region)
        truth = (np.bincount(pixels.region, truth) / np.maximum(area, 1))[pixels.region]
    return Score(correlation(pixels.map, truth), as_curve(CELLS, curve))


@of_truth("planted-pixels", range=(0, 1), chance=0.5)
def planted_pixels(case: Case, scorer: Scorer, *, method: Method, segmenter: str = "linear") -> Score:
    """ROC area of the method's map of a white-box segmenter for the deciding pixels; .5 is chance.

    The deciding pixels are the fewest that hold 90 % of the sum of absolute Shapley values; the negatives are all
    others in the field of view. With ``thick`` they contain no thin vessel, with ``marker`` they contain the marker. A
    signed map is scored by its absolute value.

    Args and errors as of ``planted``.
    """
    pixels = scorer.cache.get(_explained, method, case, scorer, segmenter)
    decide = deciding(pixels.truth, SHARE)
    if decide.all():
        raise Skipped("every pixel of the field of view decides")
    values = np.abs(pixels.map) if pixels.signed else pixels.map
    return Score(area_under_roc(values[decide], values[~decide]))


def deciding(truth: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the fewest pixels that hold a share of Σ|truth|, and pixels that tie with the smallest of them.

    Args:
        truth: (n,), not all zero.
        share: in (0, 1].

    Example:
        >>> deciding(np.array([1.0, -6.0, 3.0, 0.0]), 0.9).tolist()
        [False, True, True, False]
    """
    size = np.abs(truth)
    ordered = np.sort(size)[::-1]
    held = np.cumsum(ordered)
    least = ordered[np.searchsorted(held, share * held[-1])]
    return size >= least  # type: ignore[no-any-return]


def _sums(values: np.ndarray, place: np.ndarray, side: int) -> np.ndarray:
    """(m,) sums of (n,) values over the non-empty square cells of that side."""
    _cells, cell = np.unique(place // side, axis=1, return_inverse=True)
    return np.bincount(cell.ravel(), values)


def _explained(method: Method, case: Case, scorer: Scorer, segmenter: str) -> Planted:
    box, shown, white = scorer.cache.get(_white_box_scorer, case, scorer, segmenter)
    exact, fov = scorer.cache.get(_exact, box, shown, white, method.baseline), shown.fov.numpy()
    if not exact.any():
        raise Skipped(f"the white box {segmenter!r} does not tell the image from its reference {method.baseline!r}")
    try:
        map_ = method(white, shown)
    except UserError as error:  # the method may name a layer that the white box lacks
        raise Skipped(f"{method.spec} cannot explain the white box: {error.message}") from error
    signed, own = method.spec.plugin.traits.signed, _own_regions(method, shown)
    return Planted(np.argwhere(fov).T, map_[fov], exact, signed, own)


def _exact(box: WhiteBox, shown: Case, white: Scorer, baseline: str) -> np.ndarray:
    """(n,) exact values in the field of view."""
    values: np.ndarray = box.exact(shown.image, white.reference(baseline, shown.image), white.target.mask).numpy()
    return np.asarray(values[shown.fov.numpy()])


def _own_regions(method: Method, shown: Case) -> np.ndarray | None:
    """(n,) the method's region of each field-of-view pixel, if its parameters define regions."""
    segments, regions = (method.spec.parameters.get(name) for name in ("segments", "regions"))
    if not isinstance(segments, int) or regions not in REGIONS:
        return None
    labels: np.ndarray = superpixels(shown.image, shown.fov, segments, str(regions))[shown.fov.numpy()]
    return labels


def _white_box_scorer(case: Case, scorer: Scorer, segmenter: str) -> tuple[WhiteBox, Case, Scorer]:
    """The white box, the case that it reads, and its scorer."""
    box, shown = white_box(segmenter, case)
    prediction = predict(box, shown.image)
    mask = (prediction >= THRESHOLD) & shown.fov
    if not mask.any():
        raise Skipped(f"the white box {segmenter!r} finds no vessel in case {case.id}")
    # A fixed engine: measuring the fastest one for every case would take longer than it saves.
    white = Scorer(
        box, Target(segmenter, mask, shown.fov, prediction, shown.scale), device=scorer.device, engine=Engine()
    )
    return box, shown, white
