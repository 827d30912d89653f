"""What a network gives for one fixed image, by which it is told from another network with the same weights."""

import torch
from torch import Tensor, nn

from xaibench.errors import UserError
from xaibench.models.network_interface import INTERFACE

SIDES = (128, 256, 512)  # px; the first that the network takes
_KEPT = 16  # logits in each direction
_TOLERANCE = 1e-4  # of the largest logit


def probe_logits(model: nn.Module) -> list[float]:
    """256 logits of a network for an image of noise; empty if it takes none of these sizes.

    Args:
        model: in evaluation mode, on any device.

    Raises:
        UserError: if two passes give different logits, since no score could be repeated.
    """
    for side in SIDES:
        try:
            one, other = _logits(model, side), _logits(model, side)
        except Exception:  # a user's network may refuse a size in any way; whoever scores an image is told
            continue
        if one.shape[-2:] != (side, side) or not one.isfinite().all():
            continue
        if not (one - other).abs().max() <= _TOLERANCE * one.abs().max():
            raise UserError(
                f"{type(model).__name__} gives other logits each time for the same image.",
                "Turn off what draws random numbers in its forward, such as functional.dropout without training=False.",
            )
        every = side // _KEPT
        return one[..., ::every, ::every].flatten().tolist()
    return []


def _logits(model: nn.Module, side: int) -> Tensor:
    place = next(iter(model.state_dict().values()), torch.zeros(0)).device
    with torch.inference_mode():
        logits: Tensor = model(INTERFACE.noise((side, side), place))
    INTERFACE.check_logits(model, logits, (side, side))
    return logits.float()
