"""Records of several runs taken together, each key once."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter

from msgspec.structs import replace

from xaibench.record import Record

_key = attrgetter("map_key")


def merge(records: Iterable[Record]) -> list[Record]:
    """The records sorted by key, each key once, see :func:`joined`."""
    return list(_joined(sorted(records, key=_key)))


def merge_streams(streams: list[Iterator[Record]]) -> Iterator[Record]:
    """As :func:`merge`, of streams that are sorted by key, without holding their records."""
    return streams[0] if len(streams) == 1 else _joined(heapq.merge(*streams, key=_key))


def _joined(records: Iterable[Record]) -> Iterator[Record]:
    return (joined(list(same)) for _, same in groupby(records, key=_key))


def joined(same: list[Record]) -> Record:
    """Records of one key as one: what is ok goes before what is not, and scores are joined."""
    if len(same) == 1:
        return same[0]
    best = [r for r in same if r.status == "ok"] or same
    scores = sorted((s for r in best for s in r.scores), key=lambda s: (s.metric, s.status == "ok", s.key))
    base = min(best, key=lambda r: (r.seconds, r.status, r.reason))
    return replace(base, scores=list({s.metric: s for s in scores}.values()))
