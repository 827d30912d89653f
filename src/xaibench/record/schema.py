"""A run's records: what is kept of one (explainer, case, model, target) beside its map; imports no NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict, fields, force_setattr, replace

from xaibench.errors import one_line
from xaibench.record import strict_json
from xaibench.record.checksum import seal, verify
from xaibench.record.strict_json import LARGEST, LONGEST, Count, Number, Text
from xaibench.vocabulary import DIRECTIONS, STATUSES

SCHEMA_VERSION: Final = 2
_SEEDS = 2**64

Status = Literal["ok", "skipped", "failed"]
Direction = Literal["higher", "lower", "zero", "none"]
Curve = dict[Literal["x", "y"], list[Number | None]]
# Files are named after these: no name leads out of its folder.
FileName = Annotated[str, Meta(pattern=r"^[^./\\][^/\\]{0,99}\Z")]
if TYPE_CHECKING:
    Bound = float
else:
    Bound = Number | None  # null in a file stands for an infinite bound


class ScoreEntry(Struct, frozen=True):
    """One column of the leaderboard on one map.

    Attributes:
        metric: the column's name, such as ``"srg"``, ``"srg[fill=blur]"``, ``"auroc-thin"``.
        value: a finite number of at most 1e100 if ``status`` is ``"ok"``, else None.
        status: ``"ok"``, ``"skipped"`` or ``"failed"``.
        reason: why there is no value; empty otherwise. Made one line.
        better: ``"higher"``, ``"lower"``, ``"zero"`` (nearest 0) or ``"none"``.
        low: least value the metric can take, may be ``-inf``.
        high: greatest value the metric can take, may be ``inf``.
        family: the metric's family.
        key: see :func:`~xaibench.record.keys.score_keys`.
        curve: ``{"x": […], "y": […]}`` of equal length, or None; a point that is not finite becomes None.
        null: scores of the same map against masks that were rotated and mirrored, finite numbers; empty where the
            metric has none.
        gate: a method passes at this value or on its better side; None where the column ranks.

    Raises:
        ValueError: for a status or direction that does not exist, or a value that does not fit the status.
    """

    metric: Text
    value: Number | None
    status: Status
    reason: str
    better: Direction
    low: Bound
    high: Bound
    family: Text
    key: Text
    curve: Curve | None = None
    null: Annotated[tuple[Number, ...], Meta(max_length=1000)] = ()
    gate: Number | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"{self.metric}: status {self.status!r} is none of {', '.join(STATUSES)}")
        if self.better not in DIRECTIONS:
            raise ValueError(f"{self.metric}: better={self.better!r} is none of {', '.join(DIRECTIONS)}")
        if (self.status == "ok") != _finite(self.value):
            raise ValueError(f"{self.metric}: status {self.status!r} does not go with the value {self.value}")
        if self.null and not all(map(_finite, self.null)):
            raise ValueError(f"{self.metric}: a score by chance is not finite")
        _without_null(self)
        if self.reason:
            force_setattr(self, "reason", one_line(self.reason[:LONGEST]))
        if self.curve is not None:
            if self.curve.keys() != {"x", "y"} or len(self.curve["x"]) != len(self.curve["y"]):
                raise ValueError(f"{self.metric}: its curve has points without an x or y")
            curve = {axis: [p if _finite(p) else None for p in points] for axis, points in self.curve.items()}
            force_setattr(self, "curve", curve)


class Record(Struct, frozen=True, eq=False):
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
        seed: the run's seed, from 0 to 2⁶⁴.
        status: ``"ok"``, ``"skipped"`` or ``"failed"``, of the map.
        reason: why there is no map; empty otherwise. Made one line.
        seconds: wall time of the map.
        passes: network passes of the map, counted in images.
        peak_mb: peak memory in MB, or None where it was not measured.
        map_key: see :func:`~xaibench.record.keys.map_keys`; also the record's own name in the store.
        scores: one entry per column.
        map_digest: of the map as it is kept, set by the store; empty without a map, or where it is not known. Two
            records that differ in this alone are equal.

    Raises:
        ValueError: for a status that does not exist, or a seed or time out of bounds.
    """

    dataset: Text
    split: Text
    case: Text
    case_digest: FileName
    model: Text
    weights_digest: FileName
    target: Text
    method: Text
    params: Text
    spec: Text
    family: Text
    control: bool
    signed: bool
    distribution: Text
    version: Text
    seed: int
    status: Status
    reason: str
    seconds: Number
    passes: Count
    peak_mb: Number | None
    map_key: FileName
    scores: Sequence[ScoreEntry] = ()
    map_digest: Text = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"{self.spec}: status {self.status!r} is none of {', '.join(STATUSES)}")
        if not 0 <= self.seed <= _SEEDS:
            raise ValueError(f"{self.spec}: seed {self.seed} does not lie between 0 and 2^64")
        if self.reason:
            force_setattr(self, "reason", one_line(self.reason[:LONGEST]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and _compared(self) == _compared(other)

    def __hash__(self) -> int:
        return hash(self.map_key)


_TEXTS = [field.name for field in fields(Record) if field.type in (Text, FileName)]
_SCORE_TEXTS = [field.name for field in fields(ScoreEntry) if field.type == Text]


def encode(record: Record) -> bytes:
    """A record as sealed JSON; a number that is not finite becomes null, and texts are made one line."""
    record = _one_lined(record, _TEXTS)
    scores = [_one_lined(score, _SCORE_TEXTS) for score in record.scores]
    return seal(msgspec.json.encode(_File(**asdict(record) | {"schema": SCHEMA_VERSION, "scores": scores})))


def decode(raw: bytes) -> Record:
    """The inverse of :func:`encode`; unknown fields are passed over.

    Raises:
        ValueError: if it is no record as it was written, of this schema or of schema 1, which had no checksum; the
            message names a field that is wrong.
    """
    return Record(**_fields(_checked(raw, _WITH_CURVES)))


def decode_without_curves(raw: bytes) -> Record:
    """As :func:`decode`, in half the time: curves are passed over, and every ``curve`` is None."""
    return _checked(raw, _WITHOUT_CURVES)


class _File(Record, frozen=True, kw_only=True, eq=False):
    schema: Literal[1, 2]
    scores: Sequence[ScoreEntry]
    # Absent in schema 1, and never None once it is read.
    map_digest: Text | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.map_digest is None:
            if self.schema != 1:
                raise ValueError("its field map_digest is missing")
            force_setattr(self, "map_digest", "")


class _Score(ScoreEntry, frozen=True, gc=False):
    curve: Curve | None = msgspec.field(default=None, name="(a curve is not decoded)")

    def __post_init__(self) -> None:
        # The decoder has checked types and bounds, which is all there is to check of most scores.
        if self.status == "ok" and self.value is not None and not self.reason:
            _without_null(self)
        else:
            super().__post_init__()


class _LightFile(_File, frozen=True, kw_only=True, eq=False):
    scores: Sequence[_Score]


_WITH_CURVES = msgspec.json.Decoder(_File)
_WITHOUT_CURVES = msgspec.json.Decoder(_LightFile)
_Content = TypeVar("_Content", bound=Struct)
_Read = TypeVar("_Read", bound=_File)


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Record.__struct_fields__}


def _checked(raw: bytes, decoder: msgspec.json.Decoder[_Read]) -> _Read:
    sealed, record = verify(raw), strict_json.decode(decoder, raw)
    if not sealed and record.schema != 1:
        raise ValueError("it has lost its checksum")
    if raw.isascii() and b"\\" not in raw and b"\x7f" not in raw:  # then every text is printable, as in most records
        return record
    texts = {name: getattr(record, name) for name in _TEXTS}
    texts |= {f"scores.{name}": "".join([getattr(s, name) for s in record.scores]) for name in _SCORE_TEXTS}
    if not "".join(texts.values()).isprintable():
        wrong = next(name for name, text in texts.items() if not text.isprintable())
        raise ValueError(f"its field {wrong} is no text of one line")
    return record


def _compared(record: Record) -> tuple[object, ...]:
    return tuple((_fields(record) | {"map_digest": "", "scores": list(record.scores)}).values())


def _without_null(score: ScoreEntry) -> None:
    """Make a bound that is null or too large infinite."""
    if score.low is None or not score.low >= -LARGEST:
        force_setattr(score, "low", -math.inf)
    if score.high is None or not score.high <= LARGEST:
        force_setattr(score, "high", math.inf)


def _finite(value: float | None) -> bool:
    return value is not None and -LARGEST <= value <= LARGEST


def _one_lined(content: _Content, names: Sequence[str]) -> _Content:
    changed = {name: one_line(text) for name in names if not (text := getattr(content, name)).isprintable()}
    return replace(content, **changed) if changed else content
