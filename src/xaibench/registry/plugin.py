"""A registered function with its declaration, and with the hyper-parameters that a user gave."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from xaibench.bibliography import spell_out
from xaibench.registry.entry_points import loaded, points_of
from xaibench.registry.injection import ARGUMENTS, COST_METRIC, Arguments, Function, Injection, Parameters, injection_of
from xaibench.registry.local_version import local_version
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
        """(name, version) of the distribution that registered it; of a function given in Python, "local" and
        :func:`~xaibench.registry.local_version.local_version`, so that a changed function is computed anew.

        It is found once: what a function was made with can change while it works, as a counter does.
        """
        for point in points_of(self.kind).get(self.name, ()):
            if point.dist is not None and loaded(point) is self:
                return point.dist.name, point.dist.version
        return "local", local_version(self.function)


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
