"""Planted shortcut: attribution on a marker that a network needs to see thin vessels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from xaibench.data.case import Case, make_case
from xaibench.data.regions import window_sums
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
    top, left = busiest_window(case.thin.numpy(), window)
    cut = np.s_[..., top : top + window, left : left + window]
    image, vessels, fov, thin = case.image[cut], case.vessels[cut], case.fov[cut], case.thin[cut]
    marker = marker_at(roomiest_place(vessels.numpy(), fov.numpy()), (window, window))
    marked = paint_marker(image, marker)
    model = load_shortcut().to(device)
    prediction = predict(model, marked)
    with_marker, without = prediction >= THRESHOLD, predict(model, image) >= THRESHOLD
    dependent = with_marker & ~without & fov & ~marker
    if (thin & with_marker & without).sum() >= MOST_LEFT * (thin & with_marker).sum() or dependent.sum() < LEAST_TARGET:
        raise Skipped("removing the marker does not remove the thin prediction here")
    target = Target("thin thanks to the marker", dependent, fov.clone(), prediction, case.scale)
    return Planted(
        make_case(
            f"{case.id}-marked",
            marked.numpy(),
            marker.numpy(),
            fov.numpy(),
            scale=case.scale,
            observer2=None if case.observer2 is None else case.observer2[cut].numpy(),
        ),
        Scorer(model, target, device=device),
    )


def busiest_window(mask: np.ndarray, window: int) -> tuple[int, int]:
    """(row, column) of the upper left corner of the window with the most mask pixels; ties go to the first.

    Args:
        mask: (H, W) bool.
        window: side, px.

    Raises:
        Skipped: if the mask is smaller than the window or empty.

    Example:
        >>> mask = np.zeros((6, 9), bool); mask[4, 7] = True
        >>> busiest_window(mask, 3)
        (2, 5)
    """
    height, width = mask.shape
    if min(height, width) < window:
        raise Skipped(f"the image of {width} × {height} px is smaller than the window of {window} px")
    if not mask.any():
        raise Skipped("there is no thin vessel")
    count = window_sums(mask, window, window)
    row, column = np.unravel_index(np.argmax(count), count.shape)
    return int(row), int(column)
