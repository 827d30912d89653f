"""A network as it was when something was found out about it, which holds as long as it is still that."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Unchanged:
    """The weights, modules and patched ``forward`` of a network as they are when this is made.

    Weights are compared with copies: torch's counters miss what is done through ``tensor.data``. The network itself is
    not kept, so that caches can let it go.

    Args:
        model: any network.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weights = [tensor.detach().clone() for tensor in weights(model)]
        self._parts, self._patched = _parts(model), _patched(model)

    def holds(self, model: nn.Module) -> bool:
        """Whether the same network still is what it was."""
        parts, now = _parts(model), list(weights(model))
        return (
            len(parts) == len(self._parts)
            and all(a is b for a, b in zip(parts, self._parts, strict=True))
            and _patched(model) == self._patched
            and len(now) == len(self._weights)
            and all(a.device == b.device and torch.equal(a, b) for a, b in zip(self._weights, now, strict=True))
        )


class Remembered(Generic[T]):
    """What was found out about networks, each as long as it is what it was."""

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[nn.Module, tuple[Unchanged, T]] = WeakKeyDictionary()

    def of(self, model: nn.Module, find: Callable[[], T]) -> T:
        """What is known of the network, found out now if nothing is, or if it is another by now."""
        known = self._found.get(model)
        if known is None or not known[0].holds(model):
            known = self._found[model] = Unchanged(model), find()
        return known[1]


def weights(model: nn.Module) -> chain[Tensor]:
    """Its parameters and buffers."""
    return chain(model.parameters(), model.buffers())


def _parts(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if module is not model]


def _patched(model: nn.Module) -> list[bool]:
    """Whose ``forward`` is another than its class's."""
    return ["forward" in vars(module) for module in model.modules()]
