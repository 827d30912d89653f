"""What the index keeps of a record: all of it but its curves, in bytes that say of themselves whether they are whole.

An entry is about one cell's file as it was at one moment, its stamp. What the scores of many records share
(names, directions, ranges) is kept once, as a :class:`Layout`.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from xaibench.record.keys import identified
from xaibench.record.schema import STATUSES, Record, ScoreEntry

# magic, length, CRC of what follows it; key; mtime, ctime, size; layout; map's status; how many scores, keys, chance
# scores, and bytes of text. Then statuses and numbers of chance scores (one byte per score), values (float64, NaN where
# there is none), keys of scores without an identity (12 bytes), chance scores (float64), text (two lines of JSON).
HEAD = struct.Struct("<4sII12sqqq8sBxHHHI")
_decode = json.JSONDecoder().raw_decode
_MAGIC = b"xbi1"
_CHECKED = 12  # where the checksum begins
_KEY = 12  # bytes
CODES = {status: i for i, status in enumerate(STATUSES)}
OK, SKIPPED, FAILED = (CODES[status] for status in ("ok", "skipped", "failed"))
# Fields that all images of a run share, and those of one cell: two texts, so that the former is read once.
_SHARED = (
    *("dataset", "split", "model", "weights_digest", "target", "method", "params", "spec", "family", "control"),
    *("signed", "distribution", "version", "seed"),
)
ABOUT = (*_SHARED, "case", "case_digest", "reason", "seconds", "passes", "peak_mb", "map_digest")


Stamp = tuple[int, int, int]  # what changes with a file: times of its content and of its inode, ns, and its size


def stamp_of(stat: os.stat_result) -> Stamp:
    """The stamp of a file."""
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size


class Described(NamedTuple):
    """A score without what it came to; ``identity`` is what its key is made of beside the map's, "" if unknown."""

    metric: str
    better: str
    low: float
    high: float
    family: str
    gate: float | None
    identity: str


@dataclass(frozen=True)
class Layout:
    """Which scores a record has, in order."""

    scores: tuple[Described, ...]

    @cached_property
    def text(self) -> str:
        """As JSON, whose infinite bounds Python reads back."""
        return json.dumps(self.scores)

    @cached_property
    def digest(self) -> bytes:
        """8 bytes."""
        return hashlib.sha256(self.text.encode()).digest()[:8]

    @classmethod
    def from_text(cls, text: str) -> Layout:
        """The inverse of :attr:`text`; ValueError or TypeError for anything else."""
        return cls(tuple(Described(*s) for s in json.loads(text)))

    @cached_property
    def unidentified(self) -> tuple[int, ...]:
        """The scores whose keys each entry brings along."""
        return tuple(i for i, s in enumerate(self.scores) if not s.identity)


def pack(record: Record, stamp: Stamp, identities: Mapping[str, frozenset[str]]) -> tuple[bytes, Layout]:
    """The entry of a record, and its layout.

    Args:
        record: as its file says it.
        stamp: of that file.
        identities: of metrics by their names without parameters; taken for a score only where they make its key.

    Raises:
        ValueError: for what an entry cannot say exactly, such as a key that is not 24 hex digits.
    """
    key = _key(record.map_key)
    described: list[Described] = []
    raw: list[bytes] = []
    counts: list[int] = []
    values: list[float] = []
    nulls: list[float] = []
    for s in record.scores:
        found = identities.get(s.metric.partition("[")[0], ())
        identity = next((i for i in found if identified(record.map_key, i) == s.key), "")
        described.append(Described(s.metric, s.better, s.low, s.high, s.family, s.gate, identity))
        if not identity:
            raw.append(_key(s.key))
        if len(s.null) > 255 or not all(type(x) is float for x in (*s.null, *([] if s.value is None else [s.value]))):
            raise ValueError(f"{s.metric} is not laid out as an entry can say it")
        counts.append(len(s.null))
        values.append(float("nan") if s.value is None else s.value)
        nulls += s.null
    layout = _layout(tuple(described))
    about = [getattr(record, name) for name in ABOUT]
    reasons = {str(i): s.reason for i, s in enumerate(record.scores) if s.reason}
    codes = bytes(CODES[s.status] for s in record.scores)
    body = codes + bytes(counts) + doubles(values) + b"".join(raw) + doubles(nulls)
    try:
        return assemble(
            key, stamp, layout, CODES[record.status], body, (len(raw), len(nulls)), [*about, reasons]
        ), layout
    except struct.error as error:
        raise ValueError(f"it is too large for an entry: {error}") from error


def doubles(values: Sequence[float]) -> bytes:
    """Little-endian float64."""
    return struct.pack(f"<{len(values)}d", *values)


def assemble(
    key: bytes, stamp: Stamp, layout: Layout, code: int, body: bytes, counts: tuple[int, int], about: list[Any]
) -> bytes:
    """An entry of its parts.

    Args:
        key, stamp, layout: of the record.
        code: the place of the map's status.
        body: codes, numbers of chance scores, values, keys without an identity, chance scores.
        counts: how many keys, and how many chance scores.
        about: the fields :data:`ABOUT` and the scores' reasons by their places.

    Raises:
        struct.error: if anything is too large.
    """
    shared, own = about[: len(_SHARED)], about[len(_SHARED) :]
    text = f"{json.dumps(shared)}\n{json.dumps(own)}".encode()
    length = HEAD.size + len(body) + len(text)
    fields = (key, *stamp, layout.digest, code, len(layout.scores), *counts, len(text))
    checked = HEAD.pack(_MAGIC, length, 0, *fields)[_CHECKED:] + body + text
    return struct.pack("<4sII", _MAGIC, length, zlib.crc32(checked)) + checked


@lru_cache(maxsize=256)
def _layout(scores: tuple[Described, ...]) -> Layout:
    return Layout(scores)


def spans(log: bytes) -> Iterator[tuple[bytes, Stamp, bytes, int, int]]:
    """Key, stamp, layout digest, start and end of each whole entry, up to the first one that is not.

    Args:
        log: entries one after the other.
    """
    view, position, unpack, size = memoryview(log), 0, HEAD.unpack_from, len(log)
    while position + HEAD.size <= size:
        magic, length, crc, key, mtime, ctime, length_of_file, layout, *_ = unpack(log, position)
        end = position + length
        if magic != _MAGIC or length < HEAD.size or end > size or zlib.crc32(view[position + _CHECKED : end]) != crc:
            return
        yield key, (mtime, ctime, length_of_file), layout, position, end
        position = end


class Entry:
    """An entry read: what the index's users ask of it, each part unpacked when it is asked for.

    Args:
        data: the entry's bytes.
        layout: of its scores.
    """

    __slots__ = ("_raw", "_text", "count", "data", "layout", "map_code", "nulls")

    @staticmethod
    def layout_digest(data: bytes) -> bytes:
        """Of an entry's bytes, the digest of its layout."""
        return bytes(HEAD.unpack_from(data)[7])

    def __init__(self, data: bytes, layout: Layout) -> None:
        *_, self.map_code, self.count, self._raw, self.nulls, self._text = HEAD.unpack_from(data)
        self.data, self.layout = data, layout

    @property
    def codes(self) -> bytes:
        """(scores,) the place of each score's status in ``STATUSES``."""
        return self.data[HEAD.size : HEAD.size + self.count]

    @property
    def null_counts(self) -> bytes:
        """(scores,) how many chance scores each has."""
        return self.data[HEAD.size + self.count : HEAD.size + 2 * self.count]

    @property
    def value_bytes(self) -> bytes:
        """(scores,) float64, little-endian."""
        start = HEAD.size + 2 * self.count
        return self.data[start : start + 8 * self.count]

    @property
    def null_bytes(self) -> bytes:
        """(nulls,) float64, little-endian, those of each score after the other's."""
        start = HEAD.size + 10 * self.count + _KEY * self._raw
        return self.data[start : start + 8 * self.nulls]

    def scores(self, size: int) -> bytes:
        """What lies between head and text, which takes so many bytes."""
        return self.data[HEAD.size : HEAD.size + size]

    @property
    def raw_keys(self) -> list[str]:
        """The keys of the scores that have no identity."""
        start = HEAD.size + 10 * self.count
        return [self.data[i : i + _KEY].hex() for i in range(start, start + _KEY * self._raw, _KEY)]

    @property
    def map_key(self) -> str:
        """The record's key."""
        return self.data[_CHECKED : _CHECKED + _KEY].hex()

    def about(self) -> tuple[list[Any], dict[str, str]]:
        """The record's fields in the order of :data:`ABOUT`, and the reasons of its scores by their places."""
        shared, own = self.data[len(self.data) - self._text :].decode().split("\n")
        *fields, reasons = _decode(own)[0]
        return [*_shared(shared), *fields], reasons

    def record(self, scores: Callable[[int], bool] = lambda code: True) -> Record:
        """The record without its curves, and with those scores only whose status, by its place, is wanted."""
        fields, reasons = self.about()
        key = self.map_key
        entries = []
        if any(map(scores, set(self.codes))):
            values = struct.unpack(f"<{self.count}d", self.value_bytes)
            nulls = struct.unpack(f"<{self.nulls}d", self.null_bytes)
            raw = iter(self.raw_keys)
            first = 0
            for i, (s, code, n) in enumerate(zip(self.layout.scores, self.codes, self.null_counts, strict=True)):
                score = "" if s.identity else next(raw)
                if scores(code):
                    entries.append(
                        ScoreEntry(
                            *(s.metric, values[i] if code == OK else None, STATUSES[code], reasons.get(str(i), "")),
                            *(s.better, s.low, s.high, s.family),
                            key=score or identified(key, s.identity),
                            null=nulls[first : first + n],
                            gate=s.gate,
                        )
                    )
                first += n
        status = STATUSES[self.map_code]
        return Record(**dict(zip(ABOUT, fields, strict=True)), status=status, map_key=key, scores=entries)


@lru_cache(maxsize=4096)
def _shared(text: str) -> tuple[Any, ...]:
    return tuple(_decode(text)[0])


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != _KEY or key.hex() != text:
        raise ValueError(f"{text!r} is no key of {2 * _KEY} hex digits")
    return key
