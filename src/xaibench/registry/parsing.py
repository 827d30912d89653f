"""From what a user types, ``name[key=value,…]``, to a plugin with its parameters."""

import ast
import re
import typing
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, overload

from xaibench.errors import UserError
from xaibench.registry import declare
from xaibench.registry.injection import REQUIRED, Function, Parameters
from xaibench.registry.lookup import get
from xaibench.registry.plugin import Plugin, Spec
from xaibench.registry.traits import ExplainerTraits, MetricTraits

_LARGEST, _LONGEST = 2**63 - 1, 200  # of a number: what libraries can count to, and the characters that it has
# What is assumed of a plain function.
_LOCAL: dict[str, Callable[[str], Callable[[Function], Plugin]]] = {
    "explainer": partial(declare.explainer, family="local", signed=True, stochastic=True),
    "metric": partial(declare.metric, family="local", better="none", range=(float("-inf"), float("inf"))),
    "dataset": partial(declare.dataset, family="local"),
    "model": partial(declare.model, family="local"),
}


@overload
def parse(kind: Literal["explainer"], text: str | Plugin | Function) -> Spec[ExplainerTraits]: ...
@overload
def parse(kind: Literal["metric"], text: str | Plugin | Function) -> Spec[MetricTraits]: ...
@overload
def parse(kind: str, text: str | Plugin | Function) -> Spec: ...
def parse(kind: str, text: str | Plugin | Function) -> Spec:
    """Turn ``name[key=value,…]``, a plugin, or a plain Python function into a :class:`Spec`.

    Raises:
        UserError: for an unknown name or parameter, or a value of the wrong type.

    Example:
        >>> str(parse("explainer", "gradcam[layer=last]"))
        'gradcam[layer=last]'
    """
    if isinstance(text, str):
        spec = _read(kind, text)
    else:
        spec = Spec(text if isinstance(text, Plugin) else _LOCAL[kind](_name(text))(text))
    for name, value in spec.parameters.items():
        if value is REQUIRED:
            raise UserError(f"{spec.plugin.name} needs a value for {name}.", "Give one, or the parameter a default.")
    return spec


def _read(kind: str, text: str) -> Spec:
    match = re.fullmatch(r"\s*([^\[\]\s]+)\s*(?:\[(.*)\])?\s*", text)
    if match is None:
        raise UserError(f"{text!r} is not of the form name[key=value,…].", "Quote the brackets in your shell.")
    plugin = get(kind, match[1])
    types = _types(plugin.function)
    defaults = plugin.parameters
    given: Parameters = {}
    for part in filter(None, (p.strip() for p in (match[2] or "").split(","))):
        key, equals, raw = part.partition("=")
        key = key.strip().replace("-", "_")
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            raise UserError(f"{plugin.name} has no parameter {key!r}.", f"Its parameters: {known}.")
        if not equals:
            raise UserError(f"{plugin.name}: {key} has no value.", f"Write {plugin.name}[{key}=…].")
        if key in given:
            raise UserError(f"{plugin.name} is given {key} twice.", f"Write {plugin.name}[{key}=…] with one of them.")
        given[key] = _convert(plugin.name, key, raw.strip(), types.get(key, _type_of(defaults[key])))
    return Spec(plugin, tuple((k, given[k]) for k in defaults if k in given and given[k] != defaults[k]))


def _name(function: Function) -> str:
    """The name of a plain function, the function of a partial, or the class of an object with ``__call__``."""
    if isinstance(function, partial):
        return _name(function.func)
    return str(getattr(function, "__name__", type(function).__name__)).replace("_", "-")


def _types(function: Function) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # hints that name what is not importable cost the conversion, not the run
        return {}


def _type_of(default: object) -> object:
    """The type of a parameter without a hint."""
    return Any if default is None or default is REQUIRED else type(default)


def _convert(plugin: str, key: str, raw: str, kind: Any) -> object:
    if not raw.isprintable():
        raise UserError(f"{plugin}: {key}={raw} holds a control character.", f"Write {plugin}[{key}=…] without it.")
    if kind is str or str in typing.get_args(kind):
        return raw
    wanted = typing.get_args(kind) or (kind,)
    value = _value(raw)
    if float in wanted and type(value) is int and abs(value) <= _LARGEST:
        value = float(value)
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:
        raise UserError(
            f"{plugin}: {key}={raw} is more than can be computed with.", f"Write {plugin}[{key}=…] with less."
        )
    if type(value) not in wanted and Any not in wanted:
        one = " or ".join(map(_one, wanted))
        raise UserError(f"{plugin}: {key}={raw} is not {one}.", f"Write {plugin}[{key}=…] with {one}.")
    return value


def _one(kind: object) -> str:
    """A value of that type, in words."""
    name = getattr(kind, "__name__", str(kind))
    return "none" if kind is type(None) else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _value(raw: str) -> object:
    """What Python would read; the text itself where that is nothing."""
    words: dict[str, object] = {"true": True, "false": False, "none": None}
    if raw.lower() in words:
        return words[raw.lower()]
    if len(raw) > _LONGEST:
        return raw
    try:
        return ast.literal_eval(raw)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two of a text of brackets or signs alone
        return raw
