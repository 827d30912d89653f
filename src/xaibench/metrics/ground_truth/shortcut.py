"""Planted shortcut: attribution on a marker that a network needs to see thin vessels."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from xaibench.data.case import Case, make_case
from xaibench.data.regions import busiest_window
from xaibench.errors import Skipped
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.metrics.similarity import lift_of
from xaibench.models.evaluate import predict
from xaibench.models.networks.shortcut_network import WINDOW, load_shortcut, marker_at, paint_marker, roomiest_place
from xaibench.parameter_checks import at_least
from xaibench.registry import metric
from xaibench.scorer import Scorer, Target
from xaibench.scorer.target import THRESHOLD

LEAST_WINDOW = 64  # px: smaller windows hardly contain vessels
LEAST_TARGET = 20  # px
MOST_LEFT = 0.1  # largest share of the predicted thin vessels that may remain without the marker


@dataclass(frozen=True, eq=False)
class Planted:
    """A window with a marker that decides the prediction.

    Attributes:
        case: the window with the marker painted in. Its ``vessels`` are the marker's pixels: the oracle control shows
            the ground truth, which is the marker here.
        scorer: the network with the shortcut; the target is the thin vessels that it predicts only with the marker.
    """

    case: Case
    scorer: Scorer


@metric(
    "shortcut",
    family="truth",
    better="higher",
    range=(0, math.inf),
    measures="method",
    invariant="scale",
    chance=1.0,
    paper="adebayo2020",
)
def shortcut(case: Case, scorer: Scorer, *, method: Method, window: int = WINDOW) -> Score:
    """Lift on a small marker without which a network sees no thin vessels; 1 is chance [adebayo2020].

    The network was trained on phantoms whose thin vessels are labelled only where the marker is present. The window is
    that of this case with the most thin vessels, with the marker painted where there is most room. The target is the
    thin vessels that the network predicts with the marker and not without it. The value is the share of the method's
    positive attribution on the marker ÷ the marker's share of the field of view.

    Args:
        case: the image.
        scorer: caches what all methods share.
        method: the explainer.
        window: side of the window, px.

    Raises:
        UserError: for a window below 64 px.
        Skipped: if the image is smaller than the window, has no thin vessel or no room for the marker; if a tenth of
            the predicted thin vessels remains without the marker, or fewer than 20 px depend on it; or if the method
            cannot explain this network.
    """
    at_least(LEAST_WINDOW, "window", window)
    planted = scorer.cache.get(plant, case, window, scorer.device)
    map_, fov = method(planted.scorer, planted.case), planted.case.fov.numpy()
    positive = np.maximum(map_[fov], 0)
    if positive.min() == positive.max():  # a constant map scores exactly the chance level
        return Score(1.0)
    return Score(lift_of(map_, planted.case.vessels.numpy(), fov))


def plant(case: Case, window: int, device: torch.device) -> Planted:
    """Crop the window, paint the marker, and verify that the network takes the shortcut.

    Raises:
        Skipped: see :func:`shortcut`.
    """
    height, width = case.fov.shape
    if min(height, width) < window:
        raise Skipped(f"the image of {width} × {height} px is smaller than the window of {window} px")
    if not case.thin.any():
        raise Skipped("there is no thin vessel")
    place = busiest_window(case.thin.numpy(), window)
    part = case.transformed(lambda t: t[..., *place], f"{case.id}-marked")
    marker = marker_at(roomiest_place(part.vessels.numpy(), part.fov.numpy()), (window, window))
    marked = paint_marker(part.image, marker)
    model = load_shortcut().to(device)
    prediction = predict(model, marked)
    with_marker, without = prediction >= THRESHOLD, predict(model, part.image) >= THRESHOLD
    dependent = with_marker & ~without & part.fov & ~marker
    thin = part.thin & with_marker
    if (thin & without).sum() >= MOST_LEFT * thin.sum() or dependent.sum() < LEAST_TARGET:
        raise Skipped("removing the marker does not remove the thin prediction here")
    target = Target("thin thanks to the marker", dependent, part.fov, prediction, case.scale)
    observer2 = None if part.observer2 is None else part.observer2.numpy()
    arrays = marked.numpy(), marker.numpy(), part.fov.numpy()
    return Planted(
        make_case(part.id, *arrays, scale=case.scale, observer2=observer2), Scorer(model, target, device=device)
    )
