"""A registered function with its declaration, and with the hyper-parameters that a user gave."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from types import CodeType, FunctionType
from typing import Any, Generic, TypeVar

from xaibench.bibliography import spell_out
from xaibench.registry.entry_points import loaded, points_of

Traits = TypeVar("Traits")
_INJECTED = {"rng", "split", "case", "method"}  # keyword arguments that the caller supplies: no hyper-parameters


@dataclass(frozen=True)
class Plugin(Generic[Traits]):
    """A registered function with what it declares about itself.

    Attributes:
        kind: ``"explainer"``, ``"metric"``, ``"dataset"`` or ``"model"``.
        name: what users type.
        function: what runs.
        family: the group it is listed under.
        traits: what it declares, see :mod:`xaibench.registry.traits`.
    """

    kind: str
    name: str
    function: Callable[..., Any]
    family: str
    traits: Traits

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def summary(self) -> str:
        """First line of the docstring, its citations spelled out."""
        return spell_out((inspect.getdoc(self.function) or "").partition("\n")[0])

    @property
    def parameters(self) -> dict[str, Any]:
        """Hyper-parameters and their defaults, from the keyword-only part of the signature."""
        signature = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY and p.name not in _INJECTED}

    @cached_property
    def distribution(self) -> tuple[str, str]:
        """(name, version) of the distribution that registered it; of a function given in Python, "local" and a digest
        of its code and of what it was made with, so that a changed function is computed anew.

        It is found once: what a function was made with can change while it works, as a counter does.
        """
        for point in points_of(self.kind).get(self.name, ()):
            if point.dist is not None and loaded(point) is self:
                return point.dist.name, point.dist.version
        content = _content((self.function, _closure(self.function)))
        return "local", hashlib.sha256(content.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Spec(Generic[Traits]):
    """A plugin with the parameters a user gave, such as ``gradcam[layer=last]``."""

    plugin: Plugin[Traits]
    given: tuple[tuple[str, Any], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """All hyper-parameters, defaults filled in."""
        return self.plugin.parameters | dict(self.given)

    def __str__(self) -> str:
        inner = ",".join(f"{k}={v}" for k, v in self.given)
        return f"{self.plugin.name}[{inner}]" if inner else self.plugin.name


def takes_method(metric: Spec) -> bool:
    """Whether a metric asks for the explainer that made the map."""
    return "method" in inspect.signature(metric.plugin.function).parameters


def _content(value: Any) -> str:
    """Text that changes with what a function does, and not with where it stands or which process reads it."""
    if isinstance(value, CodeType):
        return f"({value.co_code.hex()} {value.co_names} {_content(value.co_consts)})"
    if isinstance(value, tuple | list):
        return f"[{' '.join(map(_content, value))}]"
    if isinstance(value, frozenset | set):  # whose order differs from process to process
        return f"{{{' '.join(sorted(map(_content, value)))}}}"
    if isinstance(value, partial):
        return _content((value.func, value.args, sorted(value.keywords.items())))
    if isinstance(value, FunctionType):
        return _content((value.__code__, value.__defaults__ or ()))
    return re.sub(r" at 0x\w+", "", repr(value))


def _closure(function: Any) -> list[Any]:
    """The values of an enclosing function that it uses."""
    values = []
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a variable without a value yet
            values.append(cell.cell_contents)
    return values
