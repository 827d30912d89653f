"""What is kept of one (explainer, case, model, target); standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xaibench.errors import one_line
from xaibench.record import plain

SCHEMA_VERSION = 2
UNCHECKED = (1,)  # versions that are read, too, of which nothing says whether they are as they were written
STATUSES = ("ok", "skipped", "failed")
_SCORE_TEXTS = ("metric", "status", "better", "family", "key")
_TURNS = 1000  # scores by chance of one map; a leaderboard holds them for all maps at once
BETTER = ("higher", "lower", "zero", "none")


@dataclass(frozen=True)
class ScoreEntry:
    """One column of the leaderboard on one map.

    Attributes:
        metric: the column's name, such as ``"srg"``, ``"srg[fill=blur]"``, ``"auroc-thin"``.
        value: a finite number of at most 1e100 if ``status`` is ``"ok"``, else None.
        status: ``"ok"``, ``"skipped"`` or ``"failed"``.
        reason: why there is no value; empty otherwise. Kept as one line.
        better: ``"higher"``, ``"lower"``, ``"zero"`` (nearest 0) or ``"none"``.
        low: least value the metric can take, may be ``-inf``.
        high: greatest value the metric can take, may be ``inf``.
        family: the metric's family.
        key: see :func:`~xaibench.record.keys.score_key`.
        curve: ``{"x": […], "y": […]}`` of equal length, or None; a point that is not finite reads back as NaN.
        null: what the same map scores by chance, finite numbers; empty where the metric does not say.
        gate: a method passes at this value or on its better side; None where the column ranks.

    Raises:
        ValueError: for a status or direction that does not exist, or a value that does not fit the status.
    """

    metric: str
    value: float | None
    status: str
    reason: str
    better: str
    low: float
    high: float
    family: str
    key: str
    curve: dict[str, list[float]] | None = None
    null: tuple[float, ...] = ()
    gate: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"{self.metric}: status {self.status!r} is none of {', '.join(STATUSES)}")
        if self.better not in BETTER:
            raise ValueError(f"{self.metric}: better={self.better!r} is none of {', '.join(BETTER)}")
        if (self.status == "ok") != (self.value is not None and _finite(self.value) is not None):
            raise ValueError(f"{self.metric}: status {self.status!r} does not go with the value {self.value}")
        if not plain.all_finite(self.null):
            raise ValueError(f"{self.metric}: a score by chance is not finite")

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain types; an infinite bound and a curve point that is not finite become None."""
        return {
            "metric": one_line(self.metric),
            "value": None if self.value is None else float(self.value),
            "status": self.status,
            "reason": one_line(self.reason),
            "better": self.better,
            "low": _finite(self.low),
            "high": _finite(self.high),
            "family": one_line(self.family),
            "key": self.key,
            "curve": None if self.curve is None else {k: [_finite(p) for p in v] for k, v in self.curve.items()},
            "null": [float(v) for v in self.null],
            "gate": self.gate,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ScoreEntry:
        """The inverse of :meth:`to_json`; raises ValueError for anything else."""
        metric, status, better, family, key = plain.texts(data, _SCORE_TEXTS)
        return cls(
            metric,
            plain.number_or(data, "value", None),
            status,
            plain.words(data, "reason"),
            better,
            plain.number_or(data, "low", -math.inf),
            plain.number_or(data, "high", math.inf),
            family,
            key,
            None if data.get("curve") is None else _curve(plain.mapping(data["curve"])),
            # What older versions did not know.
            tuple(plain.numbers(data, "null", _TURNS)) if "null" in data else (),
            plain.number_or(data, "gate", None) if "gate" in data else None,
        )


def _curve(data: Mapping[str, Any]) -> dict[str, list[float]]:
    x, y = (plain.numbers(data, name, gaps=True) for name in "xy")
    if len(x) != len(y):
        raise ValueError("its field curve has points without an x or y")
    return {"x": x, "y": y}


@dataclass(frozen=True)
class Record:
    """What is kept of one (explainer, case, model, target), the map aside.

    Attributes:
        dataset: such as ``"drive"``.
        split: such as ``"test"``.
        case: the case's id within its dataset.
        case_digest: content digest of the case.
        model: the model's name.
        weights_digest: content digest of its weights.
        target: which pixels are explained, such as ``"vessels"``.
        method: the explainer's name.
        params: the parameters given, ``"layer=last"``; empty for the defaults.
        spec: as shown, ``"gradcam[layer=last]"``.
        family: the explainer's family.
        control: a map no method should lose to.
        signed: negative values mean "speaks against".
        distribution: the Python distribution the explainer came from.
        version: that distribution's version.
        seed: the run's seed.
        status: ``"ok"``, ``"skipped"`` or ``"failed"``, of the map.
        reason: why there is no map; empty otherwise. Kept as one line.
        seconds: wall time of the map.
        passes: network passes of the map, counted in images.
        peak_mb: peak memory in MB, or None where it was not measured.
        map_key: see :func:`map_key`; also the record's own name in the store.
        scores: one entry per column.
        map_digest: of the map as it is kept, set by the store; empty without a map, or where it is not known. Two
            records that differ in this alone are equal.

    Raises:
        ValueError: for a status that does not exist.
    """

    dataset: str
    split: str
    case: str
    case_digest: str
    model: str
    weights_digest: str
    target: str
    method: str
    params: str
    spec: str
    family: str
    control: bool
    signed: bool
    distribution: str
    version: str
    seed: int
    status: str
    reason: str
    seconds: float
    passes: int
    peak_mb: float | None
    map_key: str
    scores: list[ScoreEntry] = field(default_factory=list)
    map_digest: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"{self.spec}: status {self.status!r} is none of {', '.join(STATUSES)}")

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain types that ``json.dumps(…, allow_nan=False)`` takes."""
        return (
            {"schema": SCHEMA_VERSION}
            | {name: getattr(self, name) for name in _PLAIN}
            | {name: one_line(getattr(self, name)) for name in (*_TEXTS, "reason")}
            | {
                "seconds": float(self.seconds),
                "passes": int(self.passes),
                "peak_mb": None if self.peak_mb is None else float(self.peak_mb),
                "map_digest": self.map_digest,
                "scores": [s.to_json() for s in self.scores],
            }
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: if a field is missing or makes no sense, or the schema is neither :data:`SCHEMA_VERSION` nor one
                of :data:`UNCHECKED`.
        """
        schema = plain.mapping(data).get("schema")
        if schema not in (SCHEMA_VERSION, *UNCHECKED):
            raise ValueError(f"it has schema {str(schema)[:20]!r}, this version of xaibench reads {SCHEMA_VERSION}")
        return cls(
            **dict(zip(_TEXTS, plain.texts(data, _TEXTS), strict=True)),
            **{name: plain.file_name(data, name) for name in _KEYS},
            control=plain.flag(data, "control"),
            signed=plain.flag(data, "signed"),
            seed=plain.whole(data, "seed"),
            reason=plain.words(data, "reason"),
            seconds=plain.number(data, "seconds"),
            passes=plain.whole(data, "passes"),
            peak_mb=plain.number_or(data, "peak_mb", None),
            scores=[ScoreEntry.from_json(plain.mapping(s)) for s in plain.items(data, "scores")],
            map_digest="" if schema in UNCHECKED else plain.text(data, "map_digest"),
        )


# What a record says of itself; of the keys the names of files are made.
_TEXTS = (
    *("dataset", "split", "case", "model", "target", "method", "params", "spec"),
    *("family", "distribution", "version", "status"),
)
_KEYS = ("case_digest", "weights_digest", "map_key")
_OTHER = ("seconds", "passes", "peak_mb", "scores", "map_digest")
_PLAIN = tuple(n for n in Record.__dataclass_fields__ if n not in _OTHER)


def _finite(value: float) -> float | None:
    """None for what is not finite, or so large that no sum of it is."""
    return float(value) if abs(value) <= plain.LARGEST else None
