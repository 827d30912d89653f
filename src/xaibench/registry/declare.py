"""The decorators that make a function a plugin."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from xaibench.registry.injection import Function
from xaibench.registry.plugin import Plugin
from xaibench.registry.traits import DatasetTraits, ExplainerTraits, MetricTraits, ModelTraits, Traits


@dataclass(frozen=True)
class _Decorator(Traits):
    """A decorator is the traits that it declares, with the kind, name and family of the plugin that it makes."""

    kind: ClassVar[str]
    name: str
    family: str = field(kw_only=True)

    def __post_init__(self) -> None:
        for mapping in ("known_failures", "files"):
            if getattr(self, mapping, {}) is None:  # the former default, which plugins may still pass
                object.__setattr__(self, mapping, {})
        try:
            super().__post_init__()
        except ValueError as error:
            raise ValueError(f"{self.kind} {self.name!r}: {error}") from None

    def __call__(self, function: Function) -> Plugin[Self]:
        # A class with __call__ is made once; a model's class is called for each network.
        made = function() if isinstance(function, type) and self.kind in ("explainer", "metric") else function
        return Plugin(self.kind, self.name, made, self.family, self)


@dataclass(frozen=True)
class explainer(_Decorator, ExplainerTraits):
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

    kind = "explainer"


@dataclass(frozen=True)
class metric(_Decorator, MetricTraits):
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

    kind = "metric"


@dataclass(frozen=True)
class dataset(_Decorator, DatasetTraits):
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

    kind = "dataset"
    family: str = field(default="fundus", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "title", self.title or self.name)
        object.__setattr__(self, "variable", self.variable or f"XAIBENCH_{self.name.upper().replace('-', '_')}")


@dataclass(frozen=True)
class model(_Decorator, ModelTraits):
    """Declare ``() -> torch.nn.Module`` a model."""

    kind = "model"
    family: str = field(default="unet", kw_only=True)
