"""The kinds of networks that a weights file can hold, and building one from its card."""

import math
from typing import Any

from xaibench.models.networks.attention_unet import VesselAttentionUNet
from xaibench.models.networks.segresnet import VesselSegResNet
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.networks.vessel_network import VesselNetwork

NETWORKS: dict[str, type[VesselNetwork]] = {n.kind: n for n in (VesselUNet, VesselAttentionUNet, VesselSegResNet)}
_LEVELS, _COARSEST, _BLOCKS = 16, 1 << 16, 64  # limits: levels, product of the strides, residual blocks


def network_of(architecture: dict[str, Any]) -> VesselNetwork:
    """Build the network that a card describes, on torch's default device; cards of U-Nets need not name the kind.

    Raises:
        ValueError: if the architecture is impossible or beyond the limits.
        KeyError: if an entry is missing.
        TypeError: if it has entries that the network does not take.
    """
    given = dict(architecture)
    kind = given.pop("kind", VesselUNet.kind)
    if not (isinstance(kind, str) and kind in NETWORKS):
        raise ValueError("its card names a kind of network that is not known here")
    for numbers in given.values():
        each = numbers if isinstance(numbers, list) else [numbers]
        if not all(type(n) is int and 0 < n < 1 << 16 for n in each):
            raise ValueError("its card names no sizes of a network")
    is_residual = kind == VesselSegResNet.kind
    levels, between = (given["down"], given["up"]) if is_residual else (given["channels"], given["strides"])
    if not (isinstance(levels, list) and isinstance(between, list)):
        raise ValueError("its card names no levels of a network")
    if not (1 < len(levels) <= _LEVELS and len(between) == len(levels) - 1):
        raise ValueError(f"its card names {len(levels)} levels and {len(between)} between them")
    if is_residual and sum(levels) + sum(between) > _BLOCKS:
        raise ValueError(f"its card names more than {_BLOCKS} blocks")
    if not is_residual and math.prod(between) > _COARSEST:
        raise ValueError(f"its card names strides of {math.prod(between)} px")
    return NETWORKS[kind](**given)
