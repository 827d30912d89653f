"""Which pixels an explanation is about."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaibench.data.anatomy.caliber import caliber_map, fov_scale, is_thin
from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError, first_line
from xaibench.models.evaluate import predict
from xaibench.scorer.batching import evaluating

COMPARED = ("false-positives", "false-negatives")  # with the labels
TARGETS = ("vessels", "thin", "thick", *COMPARED)
THRESHOLD = 0.5  # probability from which a pixel is predicted to be vessel


@dataclass(frozen=True, eq=False)
class Target:
    """A frozen set of pixels S inside the field of view.

    Attributes:
        name: ``"vessels"``, ``"thin"`` …, or any name for a mask of one's own.
        mask: (H, W) bool, S.
        fov: (H, W) bool, the field of view.
        prediction: (H, W) float32, the probabilities of the unperturbed image that S was taken from.
        scale: size of a DRIVE pixel in this image's pixels; 0, as it is by default, means that the diameter of the
            field of view tells it.
    """

    name: str
    mask: Tensor
    fov: Tensor
    prediction: Tensor
    scale: float = 0.0

    def __post_init__(self) -> None:
        if self.mask.shape != self.fov.shape:
            raise UserError(
                f"The target {self.name!r} has shape {tuple(self.mask.shape)}, "
                f"the field of view {tuple(self.fov.shape)}.",
                "Give both on the image's grid.",
            )
        if not (self.mask & self.fov).any():
            raise Skipped(f"the target {self.name!r} is empty: no such pixel in the field of view")
        if not self.scale:
            object.__setattr__(self, "scale", fov_scale(self.fov.numpy()))


def target(name: str, model: nn.Module, case: Case, *, prediction: Tensor | None = None) -> Target:
    """The target of that name, computed once from the unperturbed prediction at threshold 0.5.

    ``vessels`` is what the network calls vessel; ``thin`` and ``thick`` are its parts by the caliber of the
    *predicted* vessels, so that no label is seen; ``false-positives`` and ``false-negatives`` compare with the labels.

    Args:
        name: one of these.
        model: the network, which makes the prediction.
        case: the image.
        prediction: (H, W) float32, the network's probabilities where they are known already, as from another target.

    Raises:
        UserError: for an unknown name, one that needs the labels of a case without, or a model that cannot take the
            image.
        Skipped: if there is no such pixel.
    """
    if name not in TARGETS:
        near = difflib.get_close_matches(name, TARGETS, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(TARGETS)}."
        raise UserError(f"There is no target called {name!r}.", hint)
    if name in COMPARED and not case.labelled:
        raise UserError(
            f"The target {name!r} compares with labels, and {case.id} has none.", "Take vessels, thin or thick."
        )
    if prediction is None:
        prediction = _predicted(model, case)
        _refuse_probabilities(model, prediction)
    found = (prediction >= THRESHOLD) & case.fov
    if name == "vessels":
        mask = found
    elif name == "false-positives":
        mask = found & ~case.vessels
    elif name == "false-negatives":
        mask = ~found & case.vessels
    else:
        thin = torch.from_numpy(is_thin(caliber_map(found.numpy()), case.scale))
        mask = found & (thin if name == "thin" else ~thin)
    return Target(name, mask, case.fov, prediction, case.scale)


def _refuse_probabilities(model: nn.Module, prediction: Tensor) -> None:
    """Logits of a background are below 0; all in [0, 1], and many of them at its lower end, they are probabilities."""
    logits = torch.logit(prediction.double())
    low, high = map(float, logits.aminmax())
    if low >= -1e-6 and 0.9 < high <= 1 + 1e-6 and float((logits < 0.05).double().mean()) > 0.1:
        raise UserError(
            f"{type(model).__name__} gives probabilities, all of them in [0, 1], where logits are meant.",
            "Leave its last sigmoid out, or end with torch.logit.",
        )


def _predicted(model: nn.Module, case: Case) -> Tensor:
    try:
        with evaluating(model):
            return predict(model, case.image)
    except (UserError, Skipped):
        raise
    except Exception as error:  # a network of the user's that cannot take the image may say so in any way
        raise UserError(
            f"The model cannot take an image of shape {tuple(case.image[None].shape)}: "
            f"{type(error).__name__}: {first_line(error)}.",
            "It must turn (N, 3, H, W) RGB in [0, 1] into (N, 1, H, W) logits.",
        ) from error
