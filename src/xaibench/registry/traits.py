"""What a plugin declares about itself, one frozen class per kind; each checks its values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xaibench.vocabulary import DIRECTIONS, FILE_ROLES, INVARIANCES, MASKS, MEASURED, SUITES, SUMS, TARGETS


@dataclass(frozen=True)
class Traits:
    """What a plugin of any kind declares."""

    def __post_init__(self) -> None:
        """Check the values."""


@dataclass(frozen=True, kw_only=True)
class ExplainerTraits(Traits):
    """What an explainer declares; see :func:`~xaibench.registry.declare.explainer` for each field.

    Raises:
        ValueError: for a value out of its list, or an explainer that sees labels and is no control.
    """

    signed: bool = False
    stochastic: bool = False
    control: bool = False
    sees_labels: bool = False
    paper: str = ""
    library: str = ""
    sums_to: str = ""
    known_failures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.sees_labels and not self.control:
            raise ValueError("it asks for labels but is not a control")
        _one_of("sums_to", self.sums_to, SUMS)


@dataclass(frozen=True, kw_only=True)
class MetricTraits(Traits):
    """What a metric declares; see :func:`~xaibench.registry.declare.metric` for each field.

    Raises:
        ValueError: for a value out of its list, or a negative place.
    """

    better: str
    range: tuple[float, float]
    measures: str = "map"
    mask: str = ""
    invariant: str = ""
    chance: float | None = None
    gate: float | None = None
    targets: tuple[str, ...] = ()
    paper: str = ""
    known_failures: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    explanation: str = ""
    suites: tuple[str, ...] | None = None
    main: int | None = None
    narrow: bool = True

    def __post_init__(self) -> None:
        _one_of("better", self.better, DIRECTIONS)
        _one_of("measures", self.measures, MEASURED)
        _one_of("mask", self.mask, MASKS)
        _one_of("invariant", self.invariant, INVARIANCES)
        for target in self.targets:
            _one_of("targets", target, TARGETS)
        for suite in self.suites or ():
            _one_of("suites", suite, SUITES)
        if self.main is not None and self.main < 0:
            raise ValueError(f"main={self.main} is no place: the first column is 0")


@dataclass(frozen=True, kw_only=True)
class DatasetTraits(Traits):
    """What a data set declares; see :func:`~xaibench.registry.declare.dataset` for each field.

    Raises:
        ValueError: for a file pattern without a group ``id`` or of an unknown role, or a scale that is not positive.
    """

    title: str = ""
    paper: str = ""
    licence: str = ""
    terms: str = "The terms of their source say whether the images and labels may be shown or passed on."
    source: str = ""
    variable: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    example: str = ""
    unlabelled: bool = False
    images: int = 0
    splits: tuple[str, ...] = ()
    scale: float | None = None
    default_model: str = "unet-drive"

    def __post_init__(self) -> None:
        for role, pattern in self.files.items():
            _one_of("files", role, FILE_ROLES)
            if "id" not in re.compile(pattern).groupindex:
                raise ValueError(f"files: the pattern of {role} has no group (?P<id>…)")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"scale={self.scale} is not positive")


@dataclass(frozen=True, kw_only=True)
class ModelTraits(Traits):
    """What a model declares."""


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} is none of {', '.join(filter(None, known))}")
