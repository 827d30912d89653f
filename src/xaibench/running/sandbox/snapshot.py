"""Everything that a method or metric may find and must leave: what it was, what was changed, and putting it back.

Looked at after every map and every score, so it has to be quick: tensors are compared byte by byte with copies that are
made once, which takes .3 ms for a DRIVE image with its labels and 400 000 weights. Counting in-place operations instead
(``tensor._version``) would miss those through ``tensor.data`` and through numpy arrays that share the memory.
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

_PARTS = ("_modules",)
_TENSORS = ("_parameters", "_buffers")
_ATTRIBUTES = ("model", "target", "device", "_local", "_pixels")  # of a scorer
_ABSENT = object()


class State:
    """The network, the image, the labels and the target, as they are when this is made.

    Args:
        scorer: network and target.
        case: image and labels.
    """

    def __init__(self, scorer: Scorer, case: Case) -> None:
        self._scorer, self._case = scorer, case
        self._attributes = {name: getattr(scorer, name) for name in _ATTRIBUTES}
        self._modules = [_Module(module) for module in scorer.model.modules()]
        self._weights = [_Kept(t) for t in {id(t): t for m in self._modules for t in m.tensors}.values()]
        self._image = _Kept(case.image)
        # What is derived of the labels is kept with them, and can be changed like them.
        labels = [case.vessels, case.fov, case.caliber, case.observer2, case.thin, case.thick]
        known = {id(t): t for t in labels if t is not None}
        self._labels = [_Kept(t) for t in known.values()]
        self._fields = dict(vars(case))
        target = scorer.target
        own = (target.mask, target.fov, target.prediction, scorer._pixels)
        self._target = [_Kept(t) for t in own if id(t) not in known]
        self._everywhere = [dict(hooks) for hooks in EVERYWHERE]

    def changed(self) -> list[str]:
        """What is not as it was, in words; empty if all is."""
        scorer, case = vars(self._scorer), vars(self._case)
        modules = [part for module in self._modules for part in module.changed()]
        everywhere = any(map(_differ, self._everywhere, EVERYWHERE))
        found = {
            "the scorer": any(scorer.get(name) is not value for name, value in self._attributes.items()),
            "the network's modules": "modules" in modules,
            "hooks": everywhere or "hooks" in modules or any(w.hooked() for w in self._weights),
            "training modes": "modes" in modules,
            "the network's weights and buffers": "weights" in modules or any(w.other() for w in self._weights),
            "the weights' gradients": any(w.other_gradient() for w in self._weights),
            "which weights ask for gradients": any(w.tensor.requires_grad != w.asks for w in self._weights),
            "the image": self._image.any_change() or case.get("image") is not self._image.tensor,
            "the target": any(t.any_change() for t in self._target),
            "the labels": any(t.any_change() for t in self._labels)
            or any(case.get(name) is not value for name, value in self._fields.items() if name != "image"),
        }
        return [what for what, is_changed in found.items() if is_changed]

    def restore(self) -> None:
        """Put back what was changed."""
        vars(self._scorer).update(self._attributes)
        vars(self._case).update(self._fields)
        for module in self._modules:
            module.restore()
        for kept in (*self._weights, self._image, *self._labels, *self._target):
            kept.restore()
        for hooks, before in zip(EVERYWHERE, self._everywhere, strict=True):
            _refill(hooks, before)


class _Module:
    """A module's mode, hooks and parts."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._training = module.training
        self._forward = vars(module).get("forward", _ABSENT)  # a function in the place of the class's own
        own_dicts = vars(module)
        self._parts, self._own, self._hooks = (
            [(name, own_dicts[name], dict(own_dicts[name])) for name in names] for names in (_PARTS, _TENSORS, HOOKS)
        )
        own = (*module._parameters.values(), *module._buffers.values())
        self.tensors = [t for t in own if t is not None]

    def changed(self) -> list[str]:
        now = vars(self._module)
        found = ["modes"] if now["training"] is not self._training else []
        if self._filled(now, self._hooks):
            found.append("hooks")
        if now.get("forward", _ABSENT) is not self._forward or self._filled(now, self._parts):
            found.append("modules")
        if self._filled(now, self._own):
            found.append("weights")
        return found

    @staticmethod
    def _filled(now: dict[str, Any], before: list[tuple[str, Any, dict[Any, Any]]]) -> bool:
        """Whether one of the module's dictionaries is another, or holds other things."""
        for name, mine, content in before:
            if now[name] is not mine or ((mine or content) and _differ(content, mine)):
                return True
        return False

    def restore(self) -> None:
        now = vars(self._module)
        now["training"] = self._training
        if self._forward is _ABSENT:
            now.pop("forward", None)
        else:
            now["forward"] = self._forward
        for name, mine, content in (*self._parts, *self._own, *self._hooks):
            now[name] = mine
            _refill(mine, content)


class _Kept:
    """A tensor with a copy of it, and what hangs on it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.asks = tensor, tensor.requires_grad
        self._copy = tensor.detach().clone()
        self._place, self._shape, self._strides = tensor.data_ptr(), tensor.shape, tensor.stride()
        dense = tensor.device.type == "cpu" and tensor.is_contiguous() and self._copy.is_contiguous()
        self._bytes = tensor.numel() * tensor.element_size() if dense else -1
        self._copy_place = self._copy.data_ptr()
        self._gradient = tensor.grad
        self._gradient_copy = None if tensor.grad is None else tensor.grad.detach().clone()
        self._hooks = dict(tensor._backward_hooks or {})

    def other(self) -> bool:
        tensor = self.tensor
        if (
            self._bytes < 0
            or _memcmp is None
            or tensor.data_ptr() != self._place
            or tensor.shape != self._shape
            or tensor.stride() != self._strides
        ):
            return not same(tensor, self._copy)
        return _memcmp(self._place, self._copy_place, self._bytes) != 0

    def other_gradient(self) -> bool:
        now, before = self.tensor.grad, self._gradient_copy
        return now is not self._gradient or (now is not None and before is not None and not same(now, before))

    def hooked(self) -> bool:
        return _differ(self._hooks, self.tensor._backward_hooks or {})

    def any_change(self) -> bool:
        return self.tensor.requires_grad != self.asks or self.other() or self.other_gradient()

    def restore(self) -> None:
        tensor = self.tensor
        if self.other():
            if tensor.data_ptr() == self._place and tensor.stride() == self._strides:
                tensor.data.copy_(self._copy)
            else:
                tensor.data = self._copy.clone()
                self._place = tensor.data_ptr()
        if tensor.requires_grad != self.asks:
            tensor.detach_().requires_grad_(self.asks)
        if self.other_gradient():
            tensor.grad = self._gradient
            if self._gradient is not None and self._gradient_copy is not None:
                self._gradient.data.copy_(self._gradient_copy)
        if self.hooked():
            _refill(tensor._backward_hooks, self._hooks)


class Settings:
    """What holds for the whole process and changes what others compute, as it is when this is made."""

    def __init__(self) -> None:
        self._values = {name: get() for name, (get, _) in _SETTINGS.items()}

    def changed(self) -> list[str]:
        """What is not as it was, in words; empty if all is."""
        return [name for name, (get, _) in _SETTINGS.items() if get() != self._values[name]]

    def restore(self) -> None:
        """Put back what was changed."""
        for name in self.changed():
            _SETTINGS[name][1](self._values[name])


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a string, four times as quick
    except OSError:  # which was removed
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
    """Whether two tensors are the same bit for bit, NaN and the sign of zero included."""
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
