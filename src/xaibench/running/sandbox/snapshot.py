"""Snapshots of what a plugin must not change: network, scorer, case and process settings.

A snapshot is compared after every map and every score, so it has to be quick: tensors are compared byte by byte with
copies that are made once, which takes 0.3 ms for a DRIVE image with its labels and 400 000 weights. Counting in-place
operations (``tensor._version``) would miss writes through ``tensor.data`` and through NumPy arrays that share memory.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, Protocol, TextIO

import numpy as np
import torch
from torch import Tensor

from xaibench.data.case import Case
from xaibench.scorer.fusion import EVERYWHERE, HOOKS
from xaibench.scorer.scorer import Scorer

_ABSENT = object()
_MODULES, _HOOKS, _WEIGHTS = "the network's modules", "hooks", "the network's weights and buffers"


class _Watched(Protocol):
    what: str  # the name that a change is reported by

    def changed(self) -> bool: ...
    def restore(self) -> None: ...


class State:
    """A snapshot of network, scorer, image, labels and target, taken when it is made.

    What changes numbers counts as a change: values of tensors, modules, modes and hooks. Gradients that ``backward()``
    leaves on weights and ``requires_grad`` flags change no number; :meth:`restore_gradients` puts them back.

    Args:
        scorer: network and target.
        case: image and labels.
    """

    def __init__(self, scorer: Scorer, case: Case) -> None:
        modules, target = list(scorer.model.modules()), scorer.target
        weights = [t for m in modules for t in (*m._parameters.values(), *m._buffers.values()) if t is not None]
        # Tensors derived from the labels are cached in the case, and can be changed like them.
        labels = _distinct([case.vessels, case.fov, case.caliber, case.observer2, case.thin, case.thick])
        own = [t for t in (target.mask, target.fov, target.prediction, scorer._pixels) if id(t) not in labels]
        fields = [name for name in vars(case) if name != "image"]
        dicts = {_MODULES: ("_modules",), _HOOKS: HOOKS, _WEIGHTS: ("_parameters", "_buffers")}
        tensors = {_WEIGHTS: _distinct(weights).values(), "the image": [case.image]}
        tensors |= {"the target": own, "the labels": labels.values()}
        self._tensors = [_Tensor(what, tensor) for what, group in tensors.items() for tensor in group]
        self._watched: list[_Watched] = [
            _Entries("the scorer", vars(scorer), ("model", "target", "device", "_local", "_pixels")),
            *(_Entries(_MODULES, vars(m), ("forward",)) for m in modules),
            *(_Entries(what, vars(m), names) for what, names in dicts.items() for m in modules),
            *(_Entries(what, vars(m)[name]) for what, names in dicts.items() for m in modules for name in names),
            *(_Entries(_HOOKS, hooks) for hooks in EVERYWHERE),
            *(_TensorHooks(_HOOKS, tensor.tensor) for tensor in self._tensors),
            *(_Entries("training modes", vars(m), ("training",)) for m in modules),
            _Entries("the image", vars(case), ("image",)),
            _Entries("the labels", vars(case), fields),
            *self._tensors,
        ]

    def changed(self) -> list[str]:
        """Names of what differs from the snapshot and changes numbers; empty if nothing does."""
        return list(dict.fromkeys(watched.what for watched in self._watched if watched.changed()))

    def restore(self) -> None:
        """Put everything back."""
        for watched in self._watched:
            if watched.changed():
                watched.restore()
        self.restore_gradients()

    def restore_gradients(self) -> None:
        """Put back gradients and ``requires_grad`` flags alone."""
        for tensor in self._tensors:
            tensor.restore_gradient()


def _distinct(tensors: Iterable[Tensor | None]) -> dict[int, Tensor]:
    return {id(t): t for t in tensors if t is not None}


class _Entries:
    """The entries of a dictionary, all or those of some names: each the same object as before or absent as before."""

    def __init__(self, what: str, entries: MutableMapping[Any, object], names: Iterable[str] | None = None) -> None:
        self.what, self._now, self._whole = what, entries, names is None
        self._before = {name: entries.get(name, _ABSENT) for name in (entries if names is None else names)}

    def changed(self) -> bool:
        now, before = self._now, self._before
        if not before:
            return bool(now)
        if self._whole and len(now) != len(before):
            return True
        return any(now.get(name, _ABSENT) is not value for name, value in before.items())

    def restore(self) -> None:
        if self._whole:
            self._now.clear()
        for name, value in self._before.items():
            if value is _ABSENT:
                self._now.pop(name, None)
            else:
                self._now[name] = value


class _TensorHooks:
    """The hooks of a tensor, which has no dictionary of them before the first one."""

    def __init__(self, what: str, tensor: Tensor) -> None:
        self.what, self._tensor, self._before = what, tensor, dict(tensor._backward_hooks or {})

    def changed(self) -> bool:
        return dict(self._tensor._backward_hooks or {}) != self._before

    def restore(self) -> None:
        if (hooks := self._tensor._backward_hooks) is not None:
            hooks.clear()
            hooks.update(self._before)


class _Tensor:
    """Values, gradient and ``requires_grad`` flag of one tensor."""

    def __init__(self, what: str, tensor: Tensor) -> None:
        self.what, self.tensor, self._copy = what, tensor, tensor.detach().clone()
        self._address, self._strides = tensor.data_ptr(), tensor.stride()
        self._gradient, self._requires_grad = tensor.grad, tensor.requires_grad
        self._gradient_copy = None if tensor.grad is None else tensor.grad.detach().clone()

    def changed(self) -> bool:
        return not same(self.tensor, self._copy)

    def restore(self) -> None:
        tensor = self.tensor
        if tensor.data_ptr() == self._address and tensor.stride() == self._strides:
            tensor.data.copy_(self._copy)
        else:
            tensor.data = self._copy.clone()
            self._address = tensor.data_ptr()

    def restore_gradient(self) -> None:
        tensor = self.tensor
        if tensor.requires_grad != self._requires_grad:
            tensor.detach_().requires_grad_(self._requires_grad)
        if tensor.grad is not self._gradient:
            tensor.grad = self._gradient
        gradient, before = self._gradient, self._gradient_copy
        if gradient is not None and before is not None and not same(gradient, before):
            gradient.data.copy_(before)


class Settings:
    """A snapshot of process-wide settings that change what others compute."""

    def __init__(self) -> None:
        self._values = {name: get() for name, (get, _) in _SETTINGS.items()}

    def changed(self) -> list[str]:
        """Names of the settings that differ from the snapshot; empty if none does."""
        return [name for name, (get, _) in _SETTINGS.items() if get() != self._values[name]]

    def restore(self) -> None:
        """Put the settings back."""
        for name in self.changed():
            _SETTINGS[name][1](self._values[name])


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a string, four times as quick
    except OSError:  # the folder was removed
        return ""


def _to_folder(folder: str) -> None:
    with contextlib.suppress(OSError):
        os.chdir(folder)


def _to_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _to_streams(streams: tuple[TextIO, TextIO]) -> None:
    sys.stdout, sys.stderr = streams


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "whether gradients are recorded": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's default type": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, _to_device),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "whether torch is deterministic": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch's precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "torch's kernels": (lambda: torch.backends.mkldnn.enabled, lambda on: torch.backends.mkldnn.set_flags(on)),
    "automatic precision": (
        lambda: torch.is_autocast_enabled("cpu"),
        lambda on: torch.set_autocast_enabled("cpu", on),
    ),
    "numpy's error handling": (np.geterr, lambda how: np.seterr(**how)),
    "the working folder": (_folder, _to_folder),
    "the standard streams": (lambda: (sys.stdout, sys.stderr), _to_streams),
}


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal bit for bit, NaN and the sign of zero included."""
    if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
        return False
    if _memcmp is not None and a.device.type == "cpu" and a.is_contiguous() and b.is_contiguous():
        return _memcmp(a.data_ptr(), b.data_ptr(), a.numel() * a.element_size()) == 0
    return torch.equal(*(t.detach().contiguous().view(-1).view(torch.uint8) for t in (a, b)))


def _find_memcmp() -> Callable[..., int] | None:
    try:
        found = ctypes.CDLL(None).memcmp
    except (OSError, TypeError, AttributeError):  # Windows
        return None
    found.argtypes, found.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t], ctypes.c_int
    return found


_memcmp = _find_memcmp()
