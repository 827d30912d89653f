"""Operations with a backward pass of their own: in place of the gradient they propagate what a method defines."""

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import Tensor

Function = Callable[..., Tensor]
Operand = Any  # of a sum or product: a tensor or a number
Weights = Tensor | None  # of a layer that may have none


def depends(value: object) -> TypeGuard[Tensor]:
    """Whether a value is computed from the image; constants, leaves and weights without gradients are not."""
    return isinstance(value, Tensor) and value.requires_grad and not value.is_leaf


def with_backward(
    value: Tensor, backward: Callable[..., tuple[Tensor, ...]], *inputs: Tensor, saved: tuple[Tensor, ...] = ()
) -> Tensor:
    """A copy of a value as the output of an operation on some inputs, with its own backward pass.

    Args:
        value: of any shape.
        backward: called with what autograd propagates to the output, and with ``saved``; returns what it propagates to
            each input.
        inputs: tensors that autograd differentiates with respect to.
        saved: tensors of the network that ``backward`` needs. If the network overwrites one, autograd raises.
    """
    result: Tensor = _WithBackward.apply(value, backward, saved, *inputs)
    return result


class _WithBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, value: Tensor, backward: Callable[..., object], saved: tuple[Tensor, ...], *_inputs: Tensor
    ) -> Tensor:
        ctx.save_for_backward(*saved)
        ctx.propagate = backward
        return value.clone()  # a copy: autograd forbids in-place operations on a returned input

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *ctx.propagate(*gradients, *ctx.saved_tensors)
