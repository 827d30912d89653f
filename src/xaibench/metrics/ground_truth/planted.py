"""Planted ground truth: a method explains a segmenter whose exact attribution has a closed form.

The case's own image is given to a white box, see :mod:`xaibench.models.networks.white_box`. The method explains what
the white box takes for vessels, and its map is compared with the Shapley values of all pixels. They are relative to a
reference image: the one that the method's parameter ``baseline`` names, and ``blur`` for methods without one. A method
that does not declare itself signed shows how much a pixel matters but not in which direction, so its map is compared
with the absolute Shapley values; a signed one with the values themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xaibench.data.case import Case
from xaibench.data.regions import REGIONS, superpixels
from xaibench.errors import Skipped, UserError
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.metrics.similarity import area_under_roc, correlation
from xaibench.models.evaluate import predict
from xaibench.models.networks.white_box import WhiteBox, white_box
from xaibench.registry import metric
from xaibench.scorer import Scorer, Target
from xaibench.scorer.batching import Engine
from xaibench.scorer.target import THRESHOLD

CELLS = (1, 2, 4, 8, 16, 32)  # px, sides of the squares that the curve sums over
SHARE = 0.9  # of all that matters, held by the pixels that decide


@dataclass(frozen=True, eq=False)
class Planted:
    """What is compared, for the n pixels of the field of view, (n,) each but for the places.

    Attributes:
        place: (2, n) rows and columns.
        map: the method's values.
        truth: the exact Shapley values.
        signed: whether the method's sign means something.
        region: the method's own region of each pixel, from 0; None for a method without regions.
    """

    place: np.ndarray
    map: np.ndarray
    truth: np.ndarray
    signed: bool
    region: np.ndarray | None


@metric("planted", family="truth", better="higher", range=(-1, 1), measures="method", chance=0.0)
def planted(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    method: Method,
    segmenter: str = "linear",
) -> Score:
    """Correlation of the method's map of a white-box segmenter with the exact Shapley values of its pixels or regions.

    Pearson's r over the field of view, with the absolute Shapley values for methods that are not signed; 0 for a
    constant map. A method that explains regions and says which, by parameters ``segments`` and ``regions`` (see
    :func:`~xaibench.data.regions.superpixels`), is asked for the mean of the truth in each of them, and so judged by
    what it claims; how little regions tell of single pixels ``planted-pixels`` shows, and the curve, which is the same
    for all methods: r of the sums over square cells of 1 to 32 px, of the map and of the truth.

    Args:
        attribution: not looked at; the method explains the white box instead.
        case: whose picture the white box reads.
        scorer: keeps the map for the other metrics of this white box.
        rng: not used.
        method: the explainer.
        segmenter: ``"linear"``, ``"thick"`` (reads no thin vessel) or ``"marker"`` (needs a marker elsewhere in the
            picture), see :func:`~xaibench.models.networks.white_box.white_box`.

    Raises:
        UserError: if there is no such segmenter.
        Skipped: if the white box finds no vessels, or the method cannot explain it.
    """
    found = _explained(case, scorer, method, segmenter)
    truth = found.truth if found.signed else np.abs(found.truth)
    curve = [correlation(_sums(found.map, found.place, side), _sums(truth, found.place, side)) for side in CELLS]
    if found.region is not None:
        area = np.bincount(found.region)
        truth = (np.bincount(found.region, truth) / np.maximum(area, 1))[found.region]
    return Score(correlation(found.map, truth), (tuple(map(float, CELLS)), tuple(curve)))


@metric("planted-pixels", family="truth", better="higher", range=(0, 1), measures="method", chance=0.5)
def planted_pixels(
    attribution: np.ndarray,
    case: Case,
    scorer: Scorer,
    *,
    rng: np.random.Generator,
    method: Method,
    segmenter: str = "linear",
) -> Score:
    """ROC area of the method's map of a white-box segmenter for the pixels that decide; .5 is chance.

    Those are the fewest pixels that hold 90 % of the sum of absolute Shapley values, against all others in the field of
    view. With ``thick`` no thin vessel is among them, so that pointing at one costs; with ``marker`` the marker is.
    Of a signed map the absolute value counts.

    Args, raises: as of ``planted``.
    """
    found = _explained(case, scorer, method, segmenter)
    decide = deciding(found.truth, SHARE)
    if decide.all():
        raise Skipped("every pixel of the field of view decides")
    values = np.abs(found.map) if found.signed else found.map
    return Score(area_under_roc(values[decide], values[~decide]))


def deciding(truth: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the fewest pixels that hold that share of Σ|truth|, and what ties with the least of them.

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
    """(m,) the sums of (n,) values over the square cells of that side in which there are any."""
    _cells, cell = np.unique(place // side, axis=1, return_inverse=True)
    return np.bincount(cell.ravel(), values)


def _explained(case: Case, scorer: Scorer, method: Method, segmenter: str) -> Planted:
    baseline = method.baseline
    box, shown, white = scorer.shared(("white box", case.digest, segmenter), lambda: _asked(case, scorer, segmenter))

    def truth() -> np.ndarray:
        reference = white.reference(baseline, shown.image)
        values: np.ndarray = box.exact(shown.image, reference, white.target.mask).numpy()
        return np.asarray(values[shown.fov.numpy()])

    def compute() -> Planted:
        exact = scorer.shared(("exact", case.digest, segmenter, baseline), truth)
        if not exact.any():
            raise Skipped(f"to the white box {segmenter!r} the picture and its reference {baseline!r} are the same")
        try:
            map_ = method(white, shown)
        except UserError as error:  # the network of the run has a layer, say, that the white box has not
            raise Skipped(f"{method.spec} cannot explain the white box: {error.message}") from error
        fov = shown.fov.numpy()
        signed, own = method.spec.plugin.traits.signed, _own_regions(method, shown)
        return Planted(np.argwhere(fov).T, map_[fov], exact, signed, own)

    return scorer.shared(("planted", case.digest, segmenter, str(method.spec)), compute)


def _own_regions(method: Method, shown: Case) -> np.ndarray | None:
    """(n,) the region of each pixel of the field of view, if the method's parameters say how it cuts the picture."""
    segments, regions = (method.spec.parameters.get(name) for name in ("segments", "regions"))
    if not isinstance(segments, int) or regions not in REGIONS:
        return None
    labels: np.ndarray = superpixels(shown.image, shown.fov, segments, str(regions))[shown.fov.numpy()]
    return labels


def _asked(case: Case, scorer: Scorer, segmenter: str) -> tuple[WhiteBox, Case, Scorer]:
    """The white box, the case as it sees it, and its scorer."""
    box, shown = white_box(segmenter, case)
    prediction = predict(box, shown.image)
    mask = (prediction >= THRESHOLD) & shown.fov
    if not mask.any():
        raise Skipped(f"the white box {segmenter!r} finds no vessel in case {case.id}")
    # An engine that is given: measuring the best one for every new case would take longer than it saves.
    white = Scorer(
        box, Target(segmenter, mask, shown.fov, prediction, shown.scale), device=scorer.device, engine=Engine()
    )
    return box, shown, white
