"""The target: the pixels whose mean logit is explained."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaibench.data.anatomy.caliber import caliber_map, fov_scale, is_thin
from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError, did_you_mean
from xaibench.models.evaluate import predict
from xaibench.models.network_interface import INTERFACE
from xaibench.scorer.batching import evaluating
from xaibench.vocabulary import COMPARED_TARGETS, TARGETS

THRESHOLD = 0.5  # probability from which on a pixel counts as vessel


@dataclass(frozen=True, eq=False)
class Target:
    """A frozen set of pixels S inside the field of view.

    Attributes:
        name: ``"vessels"``, ``"thin"`` …, or any name for a mask of one's own.
        mask: (H, W) bool, S.
        fov: (H, W) bool, the field of view.
        prediction: (H, W) float32, the probabilities of the unperturbed image, from which S was taken.
        scale: size of a DRIVE pixel in this image's pixels; with 0, the default, it follows from the diameter of the
            field of view.
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

    ``vessels`` are the pixels that the network predicts as vessel; ``thin`` and ``thick`` are the parts of these by the
    caliber of the *predicted* vessels, so that no label is used; ``false-positives`` and ``false-negatives`` compare
    with the labels.

    Args:
        name: one of these.
        model: the network, which makes the prediction.
        case: the image.
        prediction: (H, W) float32, the network's probabilities, if another target has computed them already.

    Raises:
        UserError: for an unknown name, for one that needs labels if the case has none, or for a model that cannot take
            the image.
        Skipped: if there is no such pixel.
    """
    if name not in TARGETS:
        hint = did_you_mean(name, TARGETS, f"There are {', '.join(TARGETS)}.", most=1)
        raise UserError(f"There is no target called {name!r}.", hint)
    if name in COMPARED_TARGETS and not case.labelled:
        raise UserError(
            f"The target {name!r} compares with labels, and {case.id} has none.", "Take vessels, thin or thick."
        )
    if prediction is None:
        prediction = _predicted(model, case)
        INTERFACE.check_not_probabilities(model, prediction)
    positive = (prediction >= THRESHOLD) & case.fov
    if name == "vessels":
        mask = positive
    elif name == "false-positives":
        mask = positive & ~case.vessels
    elif name == "false-negatives":
        mask = ~positive & case.vessels
    else:
        thin = torch.from_numpy(is_thin(caliber_map(positive.numpy()), case.scale))
        mask = positive & (thin if name == "thin" else ~thin)
    return Target(name, mask, case.fov, prediction, case.scale)


def _predicted(model: nn.Module, case: Case) -> Tensor:
    try:
        with evaluating(model):
            return predict(model, case.image)
    except (UserError, Skipped):
        raise
    except Exception as error:  # a user's network that cannot take the image may raise anything
        raise INTERFACE.refusal(case.image, error) from error
