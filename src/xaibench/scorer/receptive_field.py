"""The receptive field of a network: how far a change of one pixel reaches in the output.

The output of a convolutional network at a pixel depends only on the pixels within its receptive field. An image that
differs from another one in a small place can therefore be scored exactly by a crop. The field is measured instead of
computed from the layers, so that any network qualifies: a NaN in one input pixel spreads to every output pixel that
depends on it, whatever the weights are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from xaibench.models.network_interface import INTERFACE
from xaibench.scorer.fingerprint import NetworkCache

PHASES = 32  # px; a network that halves its input at most five times repeats its behaviour after 32 px
SIDES = (160, 320)  # px, of the test images; a field that the larger one cannot hold counts as unlimited
STEPS = (1, 2, 4, 8, 16, 32)  # px, candidates for the shift of a crop
_fields: NetworkCache[ReceptiveField | None] = NetworkCache()


@dataclass(frozen=True)
class ReceptiveField:
    """How far a change of one pixel reaches, in px; rows and columns alike.

    Attributes:
        before, after: a change in row r changes rows r - before to r + after of the output and no others.
        step: a crop gives the output of the whole image, except near its border, if its upper left corner lies on
            multiples of this.
    """

    before: int
    after: int
    step: int


def receptive_field(model: nn.Module, device: torch.device) -> ReceptiveField | None:
    """The network's receptive field; measured on first use, and again after a change of the network.

    Args:
        model: in evaluation mode.
        device: where the network is.

    Returns:
        None for a network in which each output pixel depends on the whole image (instance or group norm, attention,
        global pooling), in which a crop does not give the output of the whole image, or that does not accept every
        image size.
    """
    return _fields.get(model, lambda: _measure(model, device))


@torch.inference_mode()
def _measure(model: nn.Module, device: torch.device) -> ReceptiveField | None:
    try:
        extent = _extent(model, device)
        step = None if extent is None else _step(model, device, max(extent))
    except RuntimeError:  # raised by torch for a network that does not accept this size
        return None
    return None if extent is None or step is None else ReceptiveField(*extent, step)


def _extent(model: nn.Module, device: torch.device) -> tuple[int, int] | None:
    """How far the change of a pixel reaches before and after it; None if that is unlimited."""
    for side in SIDES:
        image = INTERFACE.noise((side, side), device)
        original = model(image.clone())
        if INTERFACE.size(original) != (side, side) or not original.isfinite().all():
            return None
        before = after = 0
        for at in range((side - PHASES) // 2, (side + PHASES) // 2):
            with_nan, inverted = image.clone(), image.clone()
            with_nan[..., at, at] = torch.nan
            inverted[..., at, at] = 1 - inverted[..., at, at]
            # A network that replaces NaN hides its field from the first test, not from the second.
            changed = INTERFACE.class_maps(model(with_nan).isnan() | (model(inverted) != original))[0]
            places = torch.nonzero(changed)
            if not len(places):
                continue
            low, high = int(places.min()), int(places.max())
            if low == 0 or high == side - 1:
                break  # the change reaches the border, or would go beyond it
            before, after = max(before, at - low), max(after, high - at)
        else:
            return before, after
    return None


def _step(model: nn.Module, device: torch.device, margin: int) -> int | None:
    """The least shift after which a crop gives the output of the whole image, apart from a margin."""
    side = 2 * STEPS[-1] * (3 + margin // STEPS[-1])
    image = INTERFACE.noise((side, side), device)
    whole = model(image.clone())
    tolerance = 1e-4 * float(whole.abs().max())
    for step in STEPS:
        shifted = model(image[..., step:, 3 * step :].contiguous())
        difference = (whole[..., step:, 3 * step :] - shifted)[..., margin : -margin or None, margin : -margin or None]
        if float(difference.abs().max()) <= tolerance:
            return step
    return None
