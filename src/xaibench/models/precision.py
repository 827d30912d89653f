"""Networks in reduced precision, which trade digits of the scores for speed."""

import copy

import torch
from torch import Tensor, nn


def digest_in(digest: str, precision: str) -> str:
    """The digest of a network's weights with its precision, so that scores of two precisions are never mixed up."""
    return digest if precision == "float32" else f"{digest}-{precision}"


def in_precision(model: nn.Module, precision: str) -> nn.Module:
    """The network with its convolutions and products in that precision; sums, weights and logits stay float32.

    ``bf16`` is bfloat16 by :class:`torch.autocast`: 8 significant bits instead of 24, so some probabilities are off by
    about .01. It is twice as fast on processors with bfloat16 instructions (AVX-512 BF16, AMX, GPUs), and slower on
    others.

    Args:
        model: is not changed.
        precision: ``"float32"``, which gives the network itself, or ``"bf16"``, which gives a copy.
    """
    if precision == "float32":
        return model
    reduced = copy.deepcopy(model)
    kind = type(model)

    # A subclass and no wrapper: the layers keep their names, and copies of the network stay in reduced precision.
    class Reduced(kind):  # type: ignore[misc, valid-type]
        def forward(self, images: Tensor) -> Tensor:
            with torch.autocast(images.device.type, dtype=torch.bfloat16):
                logits: Tensor = super().forward(images)
            return logits.float()

    Reduced.__name__, Reduced.__qualname__ = kind.__name__, kind.__qualname__
    reduced.__class__ = Reduced
    return reduced
