"""A registered function with its declaration, and with the hyper-parameters that a user gave."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import re
from dataclasses import dataclass
from functools import cached_property, partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any, Generic, TypeVar

from xaibench.bibliography import spell_out
from xaibench.registry.entry_points import loaded, points_of
from xaibench.registry.injection import ARGUMENTS, COST_METRIC, Arguments, Function, Injection, Parameters, injection_of
from xaibench.registry.traits import Traits

T_co = TypeVar("T_co", bound=Traits, covariant=True)


@dataclass(frozen=True)
class Plugin(Generic[T_co]):
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
    function: Function
    family: str
    traits: T_co

    def __call__(self, *main: object, **keywords: object) -> Any:
        """Call the function with the main arguments of its kind in their order; it gets those that it takes.

        Args:
            *main: such as scorer and image, or attribution, case and scorer.
            **keywords: other arguments, such as ``rng``, and hyper-parameters.
        """
        known = self._arguments
        parameters = {k: v for k, v in keywords.items() if k not in (*known.main, *known.by_name)}
        arguments = dict(zip(known.main, main, strict=False)) | keywords
        return Spec(self, tuple(parameters.items()))(**arguments)

    @property
    def _arguments(self) -> Arguments:
        of_cost = getattr(self.traits, "measures", "") == "cost"
        return COST_METRIC if of_cost else ARGUMENTS[self.kind]

    @property
    def summary(self) -> str:
        """First line of the docstring, its citations spelled out."""
        return spell_out((inspect.getdoc(self.function) or "").partition("\n")[0])

    @cached_property
    def injection(self) -> Injection:
        """Which arguments the function takes, and which parameters are left to users."""
        return injection_of(self.function, self._arguments)

    @property
    def parameters(self) -> Parameters:
        """Hyper-parameters and their defaults; :data:`~xaibench.registry.injection.REQUIRED` where there is none."""
        return dict(self.injection.parameters)

    @cached_property
    def distribution(self) -> tuple[str, str]:
        """(name, version) of the distribution that registered it; of a function given in Python, "local" and a digest
        of its code and of what it was made with, so that a changed function is computed anew.

        It is found once: what a function was made with can change while it works, as a counter does.
        """
        for point in points_of(self.kind).get(self.name, ()):
            if point.dist is not None and loaded(point) is self:
                return point.dist.name, point.dist.version
        content = _content((*_code(self.function), _closure(self.function)))
        return "local", hashlib.sha256(content.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Spec(Generic[T_co]):
    """A plugin with the parameters a user gave, such as ``gradcam[layer=last]``."""

    plugin: Plugin[T_co]
    given: tuple[tuple[str, Any], ...] = ()

    @property
    def parameters(self) -> Parameters:
        """All hyper-parameters, defaults filled in."""
        return self.plugin.parameters | dict(self.given)

    def with_parameters(self, **parameters: object) -> Spec[T_co]:
        """The same plugin with some parameters replaced."""
        return Spec(self.plugin, tuple((dict(self.given) | parameters).items()))

    def __call__(self, **arguments: object) -> Any:
        """Call the plugin with those of the arguments that it takes, such as ``scorer``, and its hyper-parameters."""
        positional, named = self.plugin.injection.bind(arguments)
        return self.plugin.function(*positional, **named, **dict(self.given))

    def __str__(self) -> str:
        inner = ",".join(f"{k}={v}" for k, v in self.given)
        return f"{self.plugin.name}[{inner}]" if inner else self.plugin.name


def _content(value: object) -> str:
    """Text that changes with what a function does, but not with its place in a file or from process to process."""
    if isinstance(value, CodeType):
        return f"({value.co_code.hex()} {value.co_names} {_content(value.co_consts)})"
    if isinstance(value, tuple | list):
        return f"[{' '.join(map(_content, value))}]"
    if isinstance(value, frozenset | set):  # their order differs from process to process
        return f"{{{' '.join(sorted(map(_content, value)))}}}"
    if isinstance(value, partial):
        return _content((value.func, value.args, sorted(value.keywords.items())))
    if isinstance(value, FunctionType):
        return _content((value.__code__, value.__defaults__ or ()))
    return re.sub(r" at 0x\w+", "", repr(value))


def _code(function: Function) -> tuple[object, ...]:
    """The function; of a bound method or an object with ``__call__``, its class's methods and its plain attributes."""
    if isinstance(function, FunctionType | BuiltinFunctionType | partial | type):
        return (function,)
    of = function.__self__ if isinstance(function, MethodType) else function
    methods = [value for _, value in sorted(vars(type(of)).items()) if isinstance(value, FunctionType)]
    attributes = sorted(getattr(of, "__dict__", {}).items())
    plain = [item for item in attributes if item[1] is None or isinstance(item[1], str | int | float | tuple)]
    return getattr(function, "__name__", ""), methods, plain


def _closure(function: Function) -> list[object]:
    """The values of an enclosing function that it uses."""
    values = []
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a variable without a value yet
            values.append(cell.cell_contents)
    return values
