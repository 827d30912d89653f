"""``scores.csv``: one line per score, of as many records as there are, in memory that does not grow with them."""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any

from xaibench.record.entry import ABOUT, OK, Entry
from xaibench.record.index import Index
from xaibench.record.schema import STATUSES, Record

SCORE_COLUMNS = (
    *("dataset", "case", "model", "target", "method", "params", "metric", "value"),
    *("status", "reason", "seconds", "passes", "peak_mb", "seed"),
)
_WHAT = ("dataset", "case", "model", "target", "method", "params")
_COST = ("seconds", "passes", "peak_mb", "seed")
_SORTED = (*_WHAT, "seed")  # and the map key
_AT_ONCE = 200_000  # records whose entries are in memory together, some 2 kB each


def tidy(records: Iterable[Record]) -> list[dict[str, Any]]:
    """One dictionary per score with the keys :data:`SCORE_COLUMNS`, sorted by what they are about.

    A record without any score gives one line whose metric is empty, so that a failed map stays visible.
    """
    lines = []
    for r in sorted(records, key=attrgetter(*_SORTED, "map_key")):
        about = {n: getattr(r, n) for n in _WHAT}
        cost = {n: getattr(r, n) for n in _COST}
        scores = [(s.metric, s.value, s.status, s.reason) for s in r.scores] or [("", None, r.status, r.reason)]
        lines += [
            about | {"metric": metric, "value": value, "status": status, "reason": reason} | cost
            for metric, value, status, reason in scores
        ]
    return lines


def csv_parts(index: Index, at_once: int = _AT_ONCE) -> Iterator[str]:
    """The text of ``scores.csv``: the lines of :func:`tidy`, of all records that the index finds, under a head.

    The index is read once, and once more for every so many records beyond the first: the lines are sorted by what they
    are about, and the records lie in the order of their keys.

    Args:
        index: of the run.
        at_once: how many records are in memory at a time.
    """
    yield ",".join(SCORE_COLUMNS) + "\n"
    places = [ABOUT.index(n) for n in _SORTED]
    found: list[tuple[Any, ...]] = []
    first: list[Entry | Record] = []
    for item in _items(index):
        fields = item.about()[0] if isinstance(item, Entry) else [getattr(item, n) for n in ABOUT]
        found.append((*(fields[i] for i in places), item.map_key))
        if len(found) <= at_once:
            first.append(item)
    order = {about[-1]: place for place, about in enumerate(sorted(found))}
    several = len(found) > at_once
    del found
    if several:
        first.clear()
    for start in range(0, len(order), at_once):
        chosen: list[tuple[int, Entry | Record]] = []
        for item in _items(index, again=True) if several else first:
            place = order.get(item.map_key, -1)  # what has come since is left out
            if start <= place < start + at_once:
                chosen.append((place, item))
        for _, item in sorted(chosen, key=lambda pair: pair[0]):
            yield _text(item)


def _items(index: Index, *, again: bool = False) -> Iterator[Entry | Record]:
    for folder in map(index.read_again if again else index.read, index.prefixes()):
        yield from folder.entries
        yield from folder.odd


def _text(item: Entry | Record) -> str:
    """The lines of one record."""
    if isinstance(item, Record):
        text = io.StringIO()
        csv.DictWriter(text, SCORE_COLUMNS, lineterminator="\n").writerows(tidy([item]))
        return text.getvalue()
    fields, reasons = item.about()
    about = dict(zip(ABOUT, fields, strict=True))
    head = "".join(f"{_field(about[n])}," for n in _WHAT)
    tail = "".join(f",{_field(about[n])}" for n in _COST) + "\n"
    if not item.count:
        return f"{head},,{STATUSES[item.map_code]},{_field(about['reason'])}{tail}"
    values = struct.unpack(f"<{item.count}d", item.value_bytes)
    reason = [_field(reasons.get(str(i), "")) for i in range(item.count)] if reasons else [""] * item.count
    return "".join(
        [
            f"{head}{_field(s.metric)},{repr(value) if code == OK else ''},{STATUSES[code]},{why}{tail}"
            for s, value, code, why in zip(item.layout.scores, values, item.codes, reason, strict=True)
        ]
    )


def _field(value: Any) -> str:
    """As the csv module writes it."""
    return _quoted(value) if isinstance(value, str) else "" if value is None else repr(value)


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([text, ""])  # alone, an empty text would be quoted
    return line.getvalue()[:-2]
