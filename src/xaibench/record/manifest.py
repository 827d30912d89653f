"""The manifest of a run, ``run.json``: what was asked for, and what it was computed with."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import force_setattr

from xaibench.errors import one_line
from xaibench.record.strict_json import LONGEST, Count, Number, decode
from xaibench.vocabulary import DIRECTIONS


class ColumnInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What tables need to know of a metric's column, so that they need neither the metric's package nor PyTorch.

    Attributes:
        label: short heading; empty for the column's name.
        explanation: one line.
        main: the column's place in the main table; None if it is not there.
        narrow: whether a narrow terminal may leave it out.
        better: ``"higher"``, ``"lower"``, ``"zero"`` (nearest 0) or ``"none"``; None if the records alone know.
        low: least value; None if there is none, or the records alone know it.
        high: greatest value; likewise.
        family: the metric's family.
        gate: a method passes at this value or on its better side; None where the column ranks.
    """

    label: str = ""
    explanation: str = ""
    main: Count | None = None
    narrow: bool = True
    better: str | None = None
    low: Number | None = None
    high: Number | None = None
    family: str = ""
    gate: Number | None = None

    def __post_init__(self) -> None:
        if self.better is not None and self.better not in DIRECTIONS:
            raise ValueError(f"better={self.better!r} is none of {', '.join(DIRECTIONS)}")
        for name in ("label", "explanation", "family"):
            force_setattr(self, name, _printable(getattr(self, name)))


class Manifest(Struct, frozen=True, kw_only=True):
    """What a run was asked for and computed with; any of it may be absent. Texts are one line each.

    Attributes:
        command: the last command of the run.
        data: what names the data, to be read again.
        network: what names the network, to be loaded again; None where it was given as an object, ``UNSET`` if unknown.
        dataset: such as ``"drive"``.
        split: such as ``"test"``.
        note: one sentence on the data.
        terms: what may be done with the images, as the data set declares.
        cases: ids of all images that the run's commands asked for.
        methods: all explainers that they asked for.
        metrics: all metrics that they asked for.
        metric_versions: of each metric its distribution and version.
        columns: of each metric's column what tables need to know.
        behaviour: by the digest of each network, its logits for a fixed image, see
            :func:`~xaibench.record.keys.digest_of`.
        model: the network's name.
        weights_digest: content digest of its weights.
        target: which pixels were explained.
        seed: of the run.
        device: such as ``"cpu"``.
        cluster: where it was computed, if not in the process of the command.
        versions: of the packages it was computed with.
        machine: its system, processor and threads.
    """

    command: str | None = None
    data: str | None = None
    network: str | UnsetType | None = UNSET
    dataset: str | None = None
    split: str | None = None
    note: str | None = None
    terms: str | None = None
    cases: list[str] = []
    methods: list[str] = []
    metrics: list[str] = []
    metric_versions: dict[str, str] = {}
    columns: dict[str, ColumnInfo] = {}
    behaviour: dict[str, list[Number]] = {}
    model: str | None = None
    weights_digest: str | None = None
    target: str | None = None
    seed: int | None = None
    device: str | None = None
    cluster: dict[str, Any] | None = None
    versions: dict[str, str] = {}
    machine: dict[str, str | int] = {}

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str):
                force_setattr(self, name, _printable(value))
            elif isinstance(value, list):
                force_setattr(self, name, [_printable(text) for text in value])
            elif isinstance(value, dict) and name != "cluster":
                force_setattr(self, name, {_printable(key): _printable(v) for key, v in value.items()})

    def encode(self) -> bytes:
        """The content of ``run.json``: strict, indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> Manifest:
        """The inverse of :meth:`encode`; a field that is absent has its default, and unknown ones are passed over.

        Raises:
            ValueError: if it is no manifest; the message names the field.
        """
        return decode(_DECODER, raw)


_DECODER = msgspec.json.Decoder(Manifest)


def _printable(value: Any) -> Any:
    return one_line(value[:LONGEST]) if isinstance(value, str) and value else value
