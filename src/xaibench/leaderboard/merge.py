"""Records of several runs taken together, each key once."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter

from msgspec.structs import replace

from xaibench.record import Record

_key = attrgetter("map_key")


def merge(runs: Iterable[Iterable[Record]]) -> Iterator[Record]:
    """The records in the order of their keys, each key once, of runs with records in this order.

    Of records with one key, those that are ok go before those that are not, and their scores are joined. Only the
    records of one key are in memory at a time.
    """
    for _, same in groupby(heapq.merge(*runs, key=_key), key=_key):
        yield _joined(list(same))


def _joined(same: list[Record]) -> Record:
    if len(same) == 1:
        return same[0]
    best = [r for r in same if r.status == "ok"] or same
    scores = sorted((s for r in best for s in r.scores), key=lambda s: (s.metric, s.status == "ok", s.key))
    base = min(best, key=lambda r: (r.seconds, r.status, r.reason))
    return replace(base, scores=list({s.metric: s for s in scores}.values()))
