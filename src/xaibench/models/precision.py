"""A network in reduced precision, for where its speed is worth more than the last digits of its scores."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def digest_in(digest: str, precision: str) -> str:
    """The digest of a network's weights, computed with in a precision: no score of one is ever taken for another's."""
    return digest if precision == "float32" else f"{digest}-{precision}"


def in_precision(model: nn.Module, precision: str) -> nn.Module:
    """The network with its convolutions and products in that precision; sums, weights and logits stay float32.

    ``bf16`` is bfloat16 by :class:`torch.autocast`: 8 significant bits instead of 24, so that a probability is off by
    about .01 here and there. It is twice as fast where the processor computes with it (AVX-512 BF16, AMX, GPUs), and
    slower elsewhere.

    Args:
        model: left as it is.
        precision: ``"float32"``, which gives the network itself, or ``"bf16"``, which gives a copy.
    """
    if precision == "float32":
        return model
    found = copy.deepcopy(model)
    kind = type(model)

    # A class of its own, and no wrapper around the network: its layers keep their names, and copies stay what it is.
    class Reduced(kind):  # type: ignore[misc, valid-type]
        def forward(self, images: Tensor) -> Tensor:
            with torch.autocast(images.device.type, dtype=torch.bfloat16):
                logits: Tensor = super().forward(images)
            return logits.float()

    Reduced.__name__, Reduced.__qualname__ = kind.__name__, kind.__qualname__
    found.__class__ = Reduced
    return found
