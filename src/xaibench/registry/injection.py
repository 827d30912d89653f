"""Parameter injection: which arguments a plugin's function takes, and which of its parameters users set.

A plugin names the arguments that it needs, in any order: an explainer of ``scorer``, ``image``, ``rng`` and ``case``,
a metric of ``attribution``, ``case``, ``scorer``, ``rng`` and ``method``. ``def f(scorer, image)`` is a whole
explainer. A leading parameter with another name and no default takes the next of the kind's main arguments, so that
``def f(s, x)`` is the same explainer. All other parameters are hyper-parameters.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Function = Callable[..., Any]  # what a plugin runs: any signature
Parameters = dict[str, Any]  # hyper-parameters by name; a value is whatever the function takes
REQUIRED = inspect.Parameter.empty  # the default of a hyper-parameter that a user must set


@dataclass(frozen=True)
class Arguments:
    """The arguments that plugins of a kind can take.

    Attributes:
        main: filled by name, or by position where a leading parameter has another name.
        by_name: filled by name only.
        always: of these, given to a function with ``**kwargs`` too.
    """

    main: tuple[str, ...] = ()
    by_name: tuple[str, ...] = ()
    always: tuple[str, ...] = ()


ARGUMENTS = {
    "explainer": Arguments(("scorer", "image"), ("rng", "case"), ("rng",)),
    "metric": Arguments(("attribution", "case", "scorer"), ("rng", "method"), ("rng",)),
    "dataset": Arguments((), ("split",), ("split",)),
    "model": Arguments(),
}
COST_METRIC = Arguments(("cost",))


@dataclass(frozen=True)
class Injection:
    """How to call one function.

    Attributes:
        positional: the arguments passed by position, in order.
        keywords: the arguments passed by keyword: parameter to argument.
        parameters: the hyper-parameters with their defaults, or :data:`REQUIRED`.
    """

    positional: tuple[str, ...] = ()
    keywords: Mapping[str, str] = field(default_factory=dict)
    parameters: Parameters = field(default_factory=dict)

    def takes(self, argument: str) -> bool:
        """Whether the function is given that argument."""
        return argument in self.positional or argument in self.keywords.values()

    def bind(self, arguments: Mapping[str, object]) -> tuple[list[object], dict[str, object]]:
        """Those of the arguments that the function takes: the positional ones and those passed by keyword.

        Raises:
            TypeError: if an argument without a default is missing, such as ``case`` where labels are not allowed.
        """
        if missing := [name for name in self.positional if name not in arguments]:
            raise TypeError(f"its argument {missing[0]!r} is not given here")
        keywords = {name: arguments[of] for name, of in self.keywords.items() if of in arguments}
        return [arguments[name] for name in self.positional], keywords


def injection_of(function: Function, known: Arguments) -> Injection:
    """How to call a plugin's function.

    Args:
        function: a function, method, partial, or object with ``__call__``; decorated ones count as what they wrap.
        known: the arguments of its kind.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some compiled functions have no signature
        return Injection(known.main)
    names = {p.name for p in parameters}
    unnamed = [argument for argument in known.main if argument not in names]
    positional, keywords, own = list[str](), dict[str, str](), Parameters()
    by_position = True  # until a parameter is passed by keyword or left out
    for p in parameters:
        leading = p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        if p.kind is p.VAR_POSITIONAL:
            positional += unnamed if by_position else []
        elif p.kind is p.VAR_KEYWORD:
            keywords |= {name: name for name in known.always if name not in names}
        elif p.name in known.main or p.name in known.by_name:
            if leading and by_position and p.default is REQUIRED:
                positional.append(p.name)
            else:
                keywords[p.name], by_position = p.name, False
        elif leading and by_position and p.default is REQUIRED and unnamed and len(positional) < len(known.main):
            positional.append(unnamed.pop(0))
        else:
            own[p.name], by_position = p.default, False
    return Injection(tuple(positional), keywords, own)
