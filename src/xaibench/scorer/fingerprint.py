"""A per-network cache: a value per network, valid until a parameter, a buffer or a module changes."""

from collections.abc import Callable
from itertools import chain
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Fingerprint:
    """The weights, modules and replaced ``forward`` methods of a network at one moment.

    Weights are compared with copies, because torch's version counters miss changes through ``tensor.data``. There is
    no reference to the network itself, so that a cache does not keep it alive.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weights = [tensor.detach().clone() for tensor in weights(model)]
        self._modules, self._replaced = _submodules(model), _replaced_forwards(model)

    def matches(self, model: nn.Module) -> bool:
        """Whether the network is still as it was."""
        now = list(weights(model))
        return (
            _submodules(model) == self._modules
            and _replaced_forwards(model) == self._replaced
            and len(now) == len(self._weights)
            and all(a.device == b.device and torch.equal(a, b) for a, b in zip(self._weights, now, strict=True))
        )


class NetworkCache(Generic[T]):
    """One value per network; the entry of a network that is no longer used goes away."""

    def __init__(self) -> None:
        self._entries: WeakKeyDictionary[nn.Module, tuple[Fingerprint, T]] = WeakKeyDictionary()

    def get(self, model: nn.Module, compute: Callable[[], T]) -> T:
        """The network's value; computed on first use and again after a change of the network."""
        entry = self._entries.get(model)
        if entry is None or not entry[0].matches(model):
            entry = self._entries[model] = Fingerprint(model), compute()
        return entry[1]

    def first(self, model: nn.Module, compute: Callable[[], T]) -> T | None:
        """The value computed on first use; None as long as the network differs from what it was then."""
        if model not in self._entries:
            value = compute()
            self._entries[model] = Fingerprint(model), value
        fingerprint, value = self._entries[model]
        return value if value is not None and fingerprint.matches(model) else None


def weights(model: nn.Module) -> chain[Tensor]:
    """Its parameters and buffers."""
    return chain(model.parameters(), model.buffers())


def _submodules(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if module is not model]


def _replaced_forwards(model: nn.Module) -> list[bool]:
    """Whether each module has a ``forward`` of its own instead of its class's."""
    return ["forward" in vars(module) for module in model.modules()]
