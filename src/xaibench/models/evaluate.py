"""Segmentation figures of a network: inside the field of view, on the native grid, pooled and per image."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from skimage.morphology import skeletonize
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.models.network_interface import INTERFACE

FIGURES = (
    "auc",
    "ap",
    "f1",
    "sensitivity",
    "specificity",
    "accuracy",
    "cldice",
    "sensitivity_thin",
    "sensitivity_thick",
)


def predict(model: nn.Module, image: Tensor) -> Tensor:
    """(H, W) vessel probability of a (3, H, W) image, on the CPU: one pass, no averaging over flips.

    Args:
        model: in evaluation mode, on any device.
        image: (3, H, W) in [0, 1], on any device.

    Raises:
        UserError: if the network does not give one finite logit per pixel.
    """
    place = next(iter(model.state_dict().values()), image).device
    with torch.inference_mode():
        logits: Tensor = model(image[None].to(place, memory_format=torch.channels_last, copy=True))
        INTERFACE.check_logits(model, logits, INTERFACE.size(image))
        INTERFACE.check_finite(model, logits)
        probability = INTERFACE.class_maps(logits.sigmoid())[0]
    return probability.cpu().clone()  # outside inference mode, so that callers may use it anywhere


def cldice(prediction: np.ndarray, vessels: np.ndarray) -> float:
    """Centreline Dice [shit2021]: harmonic mean of the shares of each mask's skeleton that lie in the other mask.

    Args:
        prediction, vessels: (H, W) bool.

    Returns:
        In [0, 1]; NaN where either has no skeleton.
    """
    ours, theirs = skeletonize(prediction), skeletonize(vessels)
    if not ours.any() or not theirs.any():
        return float("nan")
    precision, sensitivity = vessels[ours].mean(), prediction[theirs].mean()
    total = precision + sensitivity
    return float(2 * precision * sensitivity / total) if total else 0.0


def figures(probability: np.ndarray, truth: np.ndarray, thin: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    """All figures but clDice from flat arrays of field-of-view pixels.

    Args:
        probability: (n,) in [0, 1].
        truth: (n,) bool, vessel or not.
        thin: (n,) bool, thin vessel or not.
        threshold: at or above it a pixel counts as vessel.

    Returns:
        Name to value; NaN where a figure has no meaning (no vessels, say).
    """
    found = probability >= threshold
    nan = float("nan")

    def share(part: np.ndarray, of: np.ndarray) -> float:
        return float(part[of].mean()) if of.any() else nan

    hits = int((found & truth).sum())
    total = int(found.sum()) + int(truth.sum())
    both = bool(truth.any()) and not bool(truth.all())
    return {
        "auc": float(roc_auc_score(truth, probability)) if both else nan,
        "ap": float(average_precision_score(truth, probability)) if both else nan,
        "f1": 2 * hits / total if total else nan,
        "sensitivity": share(found, truth),
        "specificity": share(~found, ~truth),
        "accuracy": float((found == truth).mean()),
        "sensitivity_thin": share(found, thin),
        "sensitivity_thick": share(found, truth & ~thin),
    }


@dataclass(frozen=True)
class Evaluation:
    """Figures over all images together, and per image by case id."""

    pooled: dict[str, float]
    per_image: dict[str, dict[str, float]]


def evaluate(predictor: Callable[[Tensor], Tensor], cases: Iterable[Case], threshold: float = 0.5) -> Evaluation:
    """Evaluate a predictor over cases.

    Args:
        predictor: (3, H, W) image to (H, W) probability, see :func:`predict`.
        cases: the cases; each is visited once.
        threshold: where probability becomes vessel.

    Returns:
        The figures. Pooled ones are over the field-of-view pixels of all images together, but for clDice, which
        needs a picture and is averaged over images.
    """
    per_image: dict[str, dict[str, float]] = {}
    collected: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for case in cases:
        fov, vessels = case.fov.numpy(), case.vessels.numpy()
        probability = predictor(case.image).numpy()
        flat = probability[fov], vessels[fov], case.thin.numpy()[fov]
        collected.append(flat)
        values = figures(*flat, threshold) | {"cldice": cldice((probability >= threshold) & fov, vessels)}
        per_image[case.id] = {name: values[name] for name in FIGURES}
    probabilities, truths, thins = (np.concatenate(part) for part in zip(*collected, strict=True))
    pooled = figures(probabilities, truths, thins, threshold)
    pooled["cldice"] = float(np.mean([v["cldice"] for v in per_image.values()]))
    return Evaluation({name: pooled[name] for name in FIGURES}, per_image)
