"""A network compiled for pictures of one size, for runs of so many passes that it pays for itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from xaibench.errors import UserError

Forward = Callable[[Tensor], Tensor]


def compile_network(model: nn.Module, image: Tensor) -> Forward:
    """The network's forward pass, compiled by ``torch.compile`` with its weights folded in.

    Batch norms become part of the convolutions, and what follows a convolution is done where its result is at hand. The
    logits agree with the network's own to rounding. It takes some ten to twenty seconds, less the second time.

    Args:
        model: in evaluation mode; its weights must not change afterwards.
        image: (3, H, W) of the size to be used, on the network's device.

    Raises:
        UserError: if it cannot be compiled here.
    """
    found: Forward = torch.compile(model, dynamic=False, options={"freezing": True})
    try:
        with torch.inference_mode():
            found(image[None].contiguous(memory_format=torch.channels_last))
    except Exception as error:  # the compiler's own errors have no common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"The network cannot be compiled here: {reason}.",
            "Run without --compile; with it a C++ compiler is needed, such as g++.",
        ) from error
    return found


def is_hooked(model: nn.Module) -> bool:
    """Whether something listens in on the network, which a compiled one would not tell."""
    return any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
