"""The decorators that make a function a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from xaibench.registry.plugin import Plugin, Traits
from xaibench.registry.traits import DatasetTraits, ExplainerTraits, MetricTraits, ModelTraits


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
    known_failures: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], Plugin[ExplainerTraits]]:
    """Declare ``(scorer, image, **parameters) -> (H, W)`` an explainer.

    Args:
        name: what users type, lower case with hyphens.
        family: ``"cam"``, ``"gradient"``, ``"shapley"``, ``"lime"``, ``"perturbation"`` or ``"control"``.
        signed: whether negative values mean "speaks against".
        stochastic: whether another seed may give another map.
        control: a map that no method should lose to; tables list it apart.
        sees_labels: the function takes ``case`` and reads the labels; allowed to controls only.
        paper: the source: a key of the bibliography, such as ``"selvaraju2017"``, or first author and year.
        library: the library that computes it, if it is not the plugin itself.
        sums_to: what the map promises to sum to: ``"difference"`` of the scores of the image and of the reference that
            the parameter ``baseline`` names, ``"score"`` of the image, or ``""`` if it promises nothing.
        known_failures: conformance checks that the method cannot pass by its nature, each with the reason.

    Raises:
        ValueError: for a value out of its list, or an explainer that sees labels and is no control.
    """
    with _naming("explainer", name):
        traits = ExplainerTraits(
            signed=signed,
            stochastic=stochastic,
            control=control,
            sees_labels=sees_labels,
            paper=paper,
            library=library,
            sums_to=sums_to,
            known_failures=known_failures or {},
        )
    return _decorator("explainer", name, family, traits)


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
    known_failures: Mapping[str, str] | None = None,
    label: str = "",
    explanation: str = "",
    suites: tuple[str, ...] | None = None,
    main: int | None = None,
    narrow: bool = True,
) -> Callable[[Callable[..., Any]], Plugin[MetricTraits]]:
    """Declare ``(attribution, case, scorer, **parameters) -> Score`` a metric.

    Args:
        name: what users type.
        family: ``"faithfulness"``, ``"overlap"``, ``"robustness"``, ``"complexity"``, ``"truth"``, ``"cost"`` …
        better: ``"higher"``, ``"lower"``, ``"zero"`` (nearest 0) or ``"none"``.
        range: the values it can take, ends included.
        measures: ``"map"``; ``"method"`` for a score of further maps of the same method and not of this one; or
            ``"cost"`` for a score of the computation.
        mask: ``"vessels"``, ``"thin"`` or ``"thick"`` if the map is compared with these labels: then that mask used as
            the map is ideal, and without such a pixel there is no score.
        invariant: ``"rank"`` if only the order of the map's values counts, ``"scale"`` if only their ratios do.
        chance: what a constant map scores, if it is the same number for every image.
        gate: a method passes if its mean is at this value or on its better side; the column ranks nothing.
        targets: for which targets it asks the method for maps, so that these share passes with the map of the run.
        paper: the source: a key of the bibliography, or first author and year.
        known_failures: conformance checks that the metric cannot pass by its nature, each with the reason.
        label: the heading of its column; the name if empty.
        explanation: one line for readers of a table; the first line of the docstring if empty.
        suites: of ``"quick"``, ``"standard"``, ``"full"`` and ``"truth"``, those it is in. If None, the family decides:
            ``"truth"`` metrics are in that suite alone, others in ``"standard"`` and ``"full"``, and in ``"quick"`` if
            they ask for no further maps.
        main: its place in the main table, from 0; built-in metrics take 0 to 11. None keeps it to the wide table.
        narrow: whether a terminal too narrow for the main table may leave the column out.

    Raises:
        ValueError: for a value out of its list.
    """
    with _naming("metric", name):
        traits = MetricTraits(
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
            label=label,
            explanation=explanation,
            suites=suites,
            main=main,
            narrow=narrow,
        )
    return _decorator("metric", name, family, traits)


def dataset(
    name: str,
    *,
    family: str = "fundus",
    title: str = "",
    paper: str = "",
    licence: str = "",
    terms: str = DatasetTraits.terms,
    source: str = "",
    variable: str = "",
    files: Mapping[str, str] | None = None,
    example: str = "",
    unlabelled: bool = False,
    images: int = 0,
    splits: tuple[str, ...] = (),
    scale: float | None = None,
    default_model: str = DatasetTraits.default_model,
) -> Callable[[Callable[..., Any]], Plugin[DatasetTraits]]:
    """Declare ``(*, split, **parameters) -> Cases`` a data set.

    With ``files`` the data set is recognised by the names of its files, wherever a user has it; its function then also
    takes ``root``, the path of the copy, and :func:`xaibench.data.datasets.local_copy.open_copy` does most of its work.

    Args:
        name: what users type, lower case with hyphens.
        family: the kind of images.
        title: its name in sentences, and that of its folder below ``data/``; the name if empty.
        paper: the source: a key of the bibliography, or first author and year.
        licence: its short name, such as ``"CC BY 4.0"``; empty if the data set has none.
        terms: one or two sentences: what may be done with images, labels, figures and weights. Reports and the cards of
            trained weights show them.
        source: where to get it.
        variable: the environment variable with the path of the user's copy; ``XAIBENCH_NAME`` if empty.
        files: regular expressions of file names by role: ``"image"``, ``"vessels"``, ``"fov"``, ``"observer2"``. Each
            matches the end of a path with forward slashes, ignoring case, with a group ``id`` for the case and perhaps
            a group ``part`` for a part of the data set.
        example: the name of one file, which error messages show.
        unlabelled: whether it holds images without labels, which are left out.
        images: how many images with labels a complete copy has.
        splits: the parts that ``split`` names.
        scale: size of a DRIVE pixel (24 µm) in this data set's pixels; None to measure it on each field of view.
        default_model: the network to explain on this data.

    Raises:
        ValueError: for a file pattern without a group ``id`` or of an unknown role, or a scale that is not positive.
    """
    with _naming("dataset", name):
        traits = DatasetTraits(
            title=title or name,
            paper=paper,
            licence=licence,
            terms=terms,
            source=source,
            variable=variable or f"XAIBENCH_{name.upper().replace('-', '_')}",
            files=files or {},
            example=example,
            unlabelled=unlabelled,
            images=images,
            splits=splits,
            scale=scale,
            default_model=default_model,
        )
    return _decorator("dataset", name, family, traits)


def model(name: str, *, family: str = "unet") -> Callable[[Callable[..., Any]], Plugin[ModelTraits]]:
    """Declare ``() -> torch.nn.Module`` a model."""
    return _decorator("model", name, family, ModelTraits())


def _decorator(kind: str, name: str, family: str, traits: Traits) -> Callable[[Callable[..., Any]], Plugin[Traits]]:
    def declare(function: Callable[..., Any]) -> Plugin[Traits]:
        # A class with __call__ is made once; a model's class is called for each network.
        made = function() if isinstance(function, type) and kind in ("explainer", "metric") else function
        return Plugin(kind, name, made, family, traits)

    return declare


@contextmanager
def _naming(kind: str, name: str) -> Iterator[None]:
    """Puts the plugin's kind and name before the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{kind} {name!r}: {error}") from None
