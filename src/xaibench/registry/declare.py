"""The decorators that make a function a plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xaibench.registry.plugin import Plugin


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
        paper: the source: a key of the bibliography, such as ``"selvaraju2017"``, or first author and year.
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
        paper: the source: a key of the bibliography, or first author and year.
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
