"""Names to explainers, metrics, datasets and models, through entry points; imports nothing but the standard library.

A plugin is a function under a decorator. Its keyword-only parameters are its hyper-parameters: the command line, the
record's key and the documentation all read them from the signature.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import hashlib
import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.metadata import EntryPoint, entry_points
from types import CodeType, FunctionType
from typing import Any

from xaibench.errors import UserError, first_line

KINDS = {
    "explainer": "xaibench.explainers",
    "metric": "xaibench.metrics",
    "dataset": "xaibench.datasets",
    "model": "xaibench.models",
}
_LARGEST, _LONGEST = 2**63 - 1, 200  # of a number: what libraries can count to, and the characters that it has
_INJECTED = {"rng", "split", "case", "method"}  # keyword arguments that the caller supplies: no hyper-parameters


@dataclass(frozen=True)
class Plugin:
    """A registered function with what it declares of itself.

    Attributes:
        kind: ``"explainer"``, ``"metric"``, ``"dataset"`` or ``"model"``.
        name: what users type.
        function: what runs.
        family: the group it is listed under.
        traits: what its kind declares, see :func:`explainer` and :func:`metric`.
    """

    kind: str
    name: str
    function: Callable[..., Any]
    family: str
    traits: dict[str, Any] = field(default_factory=dict)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

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
        for point in _points(self.kind).get(self.name, ()):
            if point.dist is not None and _loaded(point) is self:
                return point.dist.name, point.dist.version
        content = _content((self.function, _closure(self.function)))
        return "local", hashlib.sha256(content.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Spec:
    """A plugin with the parameters a user gave, such as ``gradcam[layer=last]``."""

    plugin: Plugin
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


def _decorator(kind: str, name: str, family: str, **traits: Any) -> Callable[[Callable[..., Any]], Plugin]:
    def wrap(function: Callable[..., Any]) -> Plugin:
        return Plugin(kind, name, function, family, traits)

    return wrap


def explainer(
    name: str,
    *,
    family: str,
    signed: bool = False,
    stochastic: bool = False,
    control: bool = False,
    sees_labels: bool = False,
    paper: str = "",
    library: str = "",
    sums_to: str = "",
    known_failures: dict[str, str] | None = None,
) -> Callable[[Callable[..., Any]], Plugin]:
    """Declare ``(scorer, image, *, rng, **parameters) -> (H, W)`` an explainer.

    Args:
        name: what users type, lower case with hyphens.
        family: ``"cam"``, ``"gradient"``, ``"shapley"``, ``"lime"``, ``"perturbation"`` or ``"control"``.
        signed: whether negative values mean "speaks against".
        stochastic: whether another seed may give another map.
        control: a map no method should lose to; it stands apart in tables.
        sees_labels: the function takes a keyword ``case`` and reads the labels; allowed to controls only.
        paper: first author and year of the source, such as ``"Selvaraju 2017"``.
        library: the library that computes it, if it is not the plugin itself.
        sums_to: what the map promises to sum to: ``"difference"`` of the scores of the image and of the reference that
            the parameter ``baseline`` names, ``"score"`` of the image, or ``""`` if it promises nothing.
        known_failures: conformance checks that the method cannot pass by its nature, each with the reason.
    """
    if sees_labels and not control:
        raise ValueError(f"explainer {name!r} asks for labels but is not a control")
    if sums_to not in ("", "difference", "score"):
        raise ValueError(f"explainer {name!r}: sums_to={sums_to!r} is neither difference nor score")
    return _decorator(
        "explainer",
        name,
        family,
        signed=signed,
        stochastic=stochastic,
        control=control,
        sees_labels=sees_labels,
        paper=paper,
        library=library,
        sums_to=sums_to,
        known_failures=known_failures or {},
    )


def metric(
    name: str,
    *,
    family: str,
    better: str,
    range: tuple[float, float],
    measures: str = "map",
    mask: str = "",
    invariant: str = "",
    chance: float | None = None,
    gate: float | None = None,
    targets: tuple[str, ...] = (),
    paper: str = "",
    known_failures: dict[str, str] | None = None,
) -> Callable[[Callable[..., Any]], Plugin]:
    """Declare ``(attribution, case, scorer, *, rng, **parameters) -> Score`` a metric.

    A function that takes a keyword ``method`` is given the explainer that made the map, a
    :class:`~xaibench.metrics.method.Method`, to explain other pictures, targets or networks with.

    Args:
        name: what users type and the column is called.
        family: ``"faithfulness"``, ``"overlap"``, ``"robustness"``, ``"complexity"``, ``"truth"``, ``"cost"`` …
        better: ``"higher"``, ``"lower"``, ``"zero"`` (nearest 0) or ``"none"``.
        range: the values it can take, ends included.
        measures: ``"map"``; ``"method"`` for what is read off further maps of the same method and not off this one; or
            ``"cost"`` for what is read off the computation.
        mask: ``"vessels"``, ``"thin"`` or ``"thick"`` if the map is compared with these labels: then that mask used as
            the map is ideal, and without such a pixel there is no score.
        invariant: ``"rank"`` if only the order of the map's values counts, ``"scale"`` if only their ratios do.
        chance: what a constant map scores, if it is the same number for every image.
        gate: a method passes if its mean is at this value or on its better side; the column ranks nothing.
        targets: whose maps it asks the method for, so that passes can be shared with the map of the run.
        paper: first author and year of the source.
        known_failures: conformance checks that the metric cannot pass by its nature, each with the reason.
    """
    for what, value, known in (
        ("better", better, ("higher", "lower", "zero", "none")),
        ("measures", measures, ("map", "method", "cost")),
        ("mask", mask, ("", "vessels", "thin", "thick")),
        ("invariant", invariant, ("", "rank", "scale")),
    ):
        if value not in known:
            raise ValueError(f"metric {name!r}: {what}={value!r} is none of {', '.join(filter(None, known))}")
    return _decorator(
        "metric",
        name,
        family,
        better=better,
        range=range,
        measures=measures,
        mask=mask,
        invariant=invariant,
        chance=chance,
        gate=gate,
        targets=targets,
        paper=paper,
        known_failures=known_failures or {},
    )


def dataset(name: str, *, family: str = "fundus") -> Callable[[Callable[..., Any]], Plugin]:
    """Declare ``(*, split, **parameters) -> Cases`` a dataset."""
    return _decorator("dataset", name, family)


def model(name: str, *, family: str = "unet") -> Callable[[Callable[..., Any]], Plugin]:
    """Declare ``() -> torch.nn.Module`` a model."""
    return _decorator("model", name, family)


@cache
def _points(kind: str) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=KINDS[kind]):
        others = found.get(point.name, ())
        # An editable install can list one distribution twice; that is no clash.
        if not any(o.value == point.value and _dist(o) == _dist(point) for o in others):
            found[point.name] = (*others, point)
    return found


def _dist(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"


@cache
def _loaded(point: EntryPoint) -> Any:
    return point.load()


def names(kind: str) -> list[str]:
    """The registered names of a kind, sorted."""
    return sorted(_points(kind))


def registered(kind: str) -> list[tuple[str, str, str]]:
    """Of each entry point of a kind its name, what it points to, and its distribution; nothing is imported."""
    points = (point for group in _points(kind).values() for point in group)
    versions = ((p, p.dist.version if p.dist is not None else "") for p in points)
    return sorted((p.name, p.value, f"{_dist(p)} {version}") for p, version in versions)


def get(kind: str, name: str) -> Plugin:
    """The plugin of that name.

    Raises:
        UserError: if there is none (with the nearest names), if two distributions claim it, or if it fails to import.
    """
    points = _points(kind).get(name)
    if not points:
        near = difflib.get_close_matches(name, names(kind), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"`xaibench list {kind}s` shows what there is."
        raise UserError(f"There is no {kind} called {name!r}.", hint)
    if len(points) > 1:
        dists = " and ".join(sorted(_dist(p) for p in points))
        raise UserError(f"The {kind} {name!r} is registered by both {dists}.", "Uninstall one of them.")
    try:
        plugin = _loaded(points[0])
    except (Exception, SystemExit) as error:  # a third party's module may fail in any way at all
        raise UserError(
            f"The {kind} {name!r} of {_dist(points[0])} does not import: {type(error).__name__}: {first_line(error)}.",
            f"Mend or uninstall {_dist(points[0])}.",
        ) from error
    if not isinstance(plugin, Plugin) or plugin.kind != kind:
        raise UserError(
            f"The entry point {points[0].value!r} of {_dist(points[0])} is no {kind}.",
            f"Put the decorator xaibench.{kind} on it.",
        )
    return plugin


def available(kind: str) -> tuple[list[Plugin], dict[str, str]]:
    """All plugins of a kind that load, and the reason for each that does not."""
    good, bad = [], {}
    for name in names(kind):
        try:
            good.append(get(kind, name))
        except UserError as error:
            bad[name] = str(error)
    return good, bad


def parse(kind: str, text: str | Plugin | Callable[..., Any]) -> Spec:
    """Turn ``name[key=value,…]``, a plugin, or a plain Python function into a :class:`Spec`.

    Raises:
        UserError: for an unknown name or parameter, or a value of the wrong type.

    Example:
        >>> str(parse("explainer", "gradcam[layer=last]"))
        'gradcam[layer=last]'
    """
    if isinstance(text, Plugin):
        return _complete(Spec(text))
    if not isinstance(text, str):
        name = getattr(text, "__name__", "function").replace("_", "-")
        return _complete(Spec(Plugin(kind, name, text, "local", _LOCAL[kind])))
    match = re.fullmatch(r"\s*([^\[\]\s]+)\s*(?:\[(.*)\])?\s*", text)
    if match is None:
        raise UserError(f"{text!r} is not of the form name[key=value,…].", "Quote the brackets in your shell.")
    plugin = get(kind, match[1])
    types = _types(plugin.function)
    defaults = plugin.parameters
    given: dict[str, Any] = {}
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
    return _complete(Spec(plugin, tuple((k, given[k]) for k in defaults if k in given and given[k] != defaults[k])))


def _complete(spec: Spec) -> Spec:
    for name, value in spec.parameters.items():
        if value is inspect.Parameter.empty:
            raise UserError(f"{spec.plugin.name} needs a value for {name}.", "Give one, or the parameter a default.")
    return spec


_LOCAL: dict[str, dict[str, Any]] = {
    "explainer": {
        **{"signed": True, "stochastic": True, "control": False, "sees_labels": False},
        **{"paper": "", "library": "", "sums_to": "", "known_failures": {}},
    },
    "metric": {
        **{"better": "none", "range": (float("-inf"), float("inf")), "measures": "map", "mask": "", "invariant": ""},
        **{"chance": None, "gate": None, "paper": "", "known_failures": {}},
    },
    "dataset": {},
    "model": {},
}


def _types(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # hints that name what is not importable cost the conversion, not the run
        return {}


def _type_of(default: Any) -> Any:
    """The type of a parameter without a hint."""
    return Any if default is None or default is inspect.Parameter.empty else type(default)


def _convert(plugin: str, key: str, raw: str, kind: Any) -> Any:
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
        name = " or ".join(getattr(w, "__name__", str(w)) for w in wanted)
        raise UserError(f"{plugin}: {key}={raw} is no {name}.", f"Write {plugin}[{key}=…] with a {name}.")
    return value


def _value(raw: str) -> Any:
    """What Python would read; the text itself where that is nothing."""
    words: dict[str, Any] = {"true": True, "false": False, "none": None}
    if raw.lower() in words:
        return words[raw.lower()]
    if len(raw) > _LONGEST:
        return raw
    try:
        return ast.literal_eval(raw)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two of a text of brackets or signs alone
        return raw
