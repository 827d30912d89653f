"""How far a change of one pixel is felt: a convolutional network is a local function of its picture.

What a convolutional network in evaluation mode says of a pixel depends on the pixels within its reach alone. That lets
a picture that differs from another one in a small place be scored by a crop, exactly. Whether a network is of that kind
is not read off its layers but tried out, so that it holds for any network: a NaN in one pixel of the picture spreads
to all that depends on it, whatever the weights are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaibench.scorer.fingerprint import Remembered

PHASES = 32  # px; networks that halve their picture up to five times treat a pixel like that 32 px further
SIDES = (160, 320)  # px, of the pictures on which it is tried; to see further than the last allows is to see everything
STEPS = (1, 2, 4, 8, 16, 32)  # px, by which a crop may be shifted
_known: Remembered[Reach | None] = Remembered()


@dataclass(frozen=True)
class Reach:
    """How far a network sees, in px.

    Attributes:
        before, after: a change in row r is felt in rows r − before to r + after and no others; columns alike.
        step: a crop whose upper left corner lies on multiples of this is seen as the whole picture is, but for its rim.
    """

    before: int
    after: int
    step: int


def reach_of(model: nn.Module, device: torch.device) -> Reach | None:
    """The network's reach; found out on first use, and again when its weights or modules are others.

    Args:
        model: (N, 3, H, W) to (N, 1, H, W), in evaluation mode.
        device: where it is.

    Returns:
        None for a network in which every pixel depends on all others (instance or group norm, attention, pooling of
        the whole picture), in which a crop is not seen as in the whole picture, or that does not take pictures of any
        size.
    """
    return _known.of(model, lambda: _find(model, device))


@torch.inference_mode()
def _find(model: nn.Module, device: torch.device) -> Reach | None:
    try:
        felt = _felt(model, device)
        step = None if felt is None else _step(model, device, max(felt))
    except RuntimeError:  # what torch raises of a network that takes no picture of this size
        return None
    return None if felt is None or step is None else Reach(*felt, step)


def _felt(model: nn.Module, device: torch.device) -> tuple[int, int] | None:
    """How far before and after it a pixel's change is felt."""
    for side in SIDES:
        picture = _noise(side, device)
        plain = model(picture)
        if plain.shape[-2:] != (side, side) or not plain.isfinite().all():
            return None
        before = after = 0
        for at in range((side - PHASES) // 2, (side + PHASES) // 2):
            spoilt, other = picture.clone(), picture.clone()
            spoilt[..., at, at] = torch.nan
            other[..., at, at] = 1 - other[..., at, at]
            # A network that mends NaN would hide from the first what the second shows.
            felt = (model(spoilt).isnan() | (model(other) != plain))[0, 0]
            places = torch.nonzero(felt)
            if not len(places):
                continue
            low, high = int(places.min()), int(places.max())
            if low == 0 or high == side - 1:
                break  # as far as this picture goes, or further
            before, after = max(before, at - low), max(after, high - at)
        else:
            return before, after
    return None


def _step(model: nn.Module, device: torch.device, rim: int) -> int | None:
    """The least shift after which a crop is seen as before, but for its rim."""
    side = 2 * STEPS[-1] * (3 + rim // STEPS[-1])
    picture = _noise(side, device)
    whole = model(picture)
    allowed = 1e-4 * float(whole.abs().max())
    for step in STEPS:
        shifted = model(picture[..., step:, 3 * step :].contiguous())
        difference = (whole[..., step:, 3 * step :] - shifted)[..., rim : -rim or None, rim : -rim or None]
        if float(difference.abs().max()) <= allowed:
            return step
    return None


def _noise(side: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, side, side, generator=generator).to(device)
