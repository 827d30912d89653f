"""Snapshots of what a plugin must not change: network, scorer, case and process settings.

A snapshot is compared after every map and every score, so it has to be quick: tensors are compared byte by byte with
copies that are made once, which takes 0.3 ms for a DRIVE image with its labels and 400 000 weights. Counting in-place
operations (``tensor._version``) would miss writes through ``tensor.data`` and through NumPy arrays that share memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.scorer.fusion import EVERYWHERE, HOOKS
from xaibench.scorer.scorer import Scorer

_ATTRIBUTES = ("model", "target", "device", "_local", "_pixels")  # of a scorer
_ABSENT = object()


class State:
    """A snapshot of network, scorer, image, labels and target, taken when it is made.

    What changes numbers counts as a change: values of tensors, modules, modes and hooks. Gradients that ``backward()``
    leaves on weights and ``requires_grad`` flags change no number; :meth:`restore_gradients` puts them back.

    Args:
        scorer: network and target.
        case: image and labels.
    """

    def __init__(self, scorer: Scorer, case: Case) -> None:
        self._scorer, self._case = scorer, case
        self._attributes = {name: getattr(scorer, name) for name in _ATTRIBUTES}
        self._modules = [_ModuleState(module) for module in scorer.model.modules()]
        self._weights = [_TensorState(t) for t in {id(t): t for m in self._modules for t in m.tensors}.values()]
        self._image = _TensorState(case.image)
        # Tensors derived from the labels are cached in the case, and can be changed like them.
        labels = [case.vessels, case.fov, case.caliber, case.observer2, case.thin, case.thick]
        known = {id(t): t for t in labels if t is not None}
        self._labels = [_TensorState(t) for t in known.values()]
        self._fields = dict(vars(case))
        target = scorer.target
        own = (target.mask, target.fov, target.prediction, scorer._pixels)
        self._target = [_TensorState(t) for t in own if id(t) not in known]
        self._global_hooks = [dict(hooks) for hooks in EVERYWHERE]

    def changed(self) -> list[str]:
        """Names of what differs from the snapshot and changes numbers; empty if nothing does."""
        scorer, case = vars(self._scorer), vars(self._case)
        modules = {part for module in self._modules for part in module.changed()}
        global_hooks = any(map(_differ, self._global_hooks, EVERYWHERE))
        differs = {
            "the scorer": any(scorer.get(name) is not value for name, value in self._attributes.items()),
            "the network's modules": "modules" in modules,
            "hooks": global_hooks or "hooks" in modules or any(w.hooks_changed() for w in self._weights),
            "training modes": "modes" in modules,
            "the network's weights and buffers": "weights" in modules or any(w.changed() for w in self._weights),
            "the image": self._image.changed() or case.get("image") is not self._image.tensor,
            "the target": any(t.changed() for t in self._target),
            "the labels": any(t.changed() for t in self._labels)
            or any(case.get(name) is not value for name, value in self._fields.items() if name != "image"),
        }
        return [what for what, is_changed in differs.items() if is_changed]

    def restore(self) -> None:
        """Put everything back."""
        vars(self._scorer).update(self._attributes)
        vars(self._case).update(self._fields)
        for module in self._modules:
            module.restore()
        for tensor in self._tensors():
            tensor.restore()
        for hooks, before in zip(EVERYWHERE, self._global_hooks, strict=True):
            _refill(hooks, before)
        self.restore_gradients()

    def restore_gradients(self) -> None:
        """Put back gradients and ``requires_grad`` flags alone."""
        for tensor in self._tensors():
            tensor.restore_gradient()

    def _tensors(self) -> list[_TensorState]:
        return [*self._weights, self._image, *self._labels, *self._target]


class _ModuleState:
    """Mode, hooks, submodules and own tensors of one module."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._training = module.training
        self._forward = vars(module).get("forward", _ABSENT)  # an instance attribute that replaces the class's method
        own = vars(module)
        names = {"hooks": HOOKS, "modules": ("_modules",), "weights": ("_parameters", "_buffers")}
        self._dicts = [(kind, n, own[n], dict(own[n])) for kind, group in names.items() for n in group]
        self.tensors = [t for t in (*module._parameters.values(), *module._buffers.values()) if t is not None]

    def changed(self) -> set[str]:
        now = vars(self._module)
        found = {kind for kind, name, own, before in self._dicts if now[name] is not own or _differ(before, own)}
        if now["training"] is not self._training:
            found.add("modes")
        if now.get("forward", _ABSENT) is not self._forward:
            found.add("modules")
        return found

    def restore(self) -> None:
        now = vars(self._module)
        now["training"] = self._training
        if self._forward is _ABSENT:
            now.pop("forward", None)
        else:
            now["forward"] = self._forward
        for _, name, own, before in self._dicts:
            now[name] = own
            _refill(own, before)


class _TensorState:
    """Values, gradient, ``requires_grad`` flag and hooks of one tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self._requires_grad = tensor, tensor.requires_grad
        self._copy = tensor.detach().clone()
        self._address, self._shape, self._strides = tensor.data_ptr(), tensor.shape, tensor.stride()
        dense = tensor.device.type == "cpu" and tensor.is_contiguous() and self._copy.is_contiguous()
        self._bytes = tensor.numel() * tensor.element_size() if dense else -1
        self._copy_address = self._copy.data_ptr()
        self._gradient = tensor.grad
        self._gradient_copy = None if tensor.grad is None else tensor.grad.detach().clone()
        self._hooks = dict(tensor._backward_hooks or {})

    def changed(self) -> bool:
        tensor = self.tensor
        if (
            self._bytes < 0
            or _memcmp is None
            or tensor.data_ptr() != self._address
            or tensor.shape != self._shape
            or tensor.stride() != self._strides
        ):
            return not same(tensor, self._copy)
        return _memcmp(self._address, self._copy_address, self._bytes) != 0

    def hooks_changed(self) -> bool:
        return _differ(self._hooks, self.tensor._backward_hooks or {})

    def restore(self) -> None:
        tensor = self.tensor
        if self.changed():
            if tensor.data_ptr() == self._address and tensor.stride() == self._strides:
                tensor.data.copy_(self._copy)
            else:
                tensor.data = self._copy.clone()
                self._address = tensor.data_ptr()
        if self.hooks_changed():
            _refill(tensor._backward_hooks, self._hooks)

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


def _to_streams(streams: tuple[Any, Any]) -> None:
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


def _differ(before: Mapping[Any, Any], now: Mapping[Any, Any]) -> bool:
    if not before and not now:
        return False
    return len(before) != len(now) or any(now.get(key, _ABSENT) is not value for key, value in before.items())


def _refill(now: Any, before: Mapping[Any, Any]) -> None:
    if now is not None and _differ(before, now):
        now.clear()
        now.update(before)
