"""``scores.csv``: one line per score, sorted in memory that does not grow with the number of records."""

import csv
import heapq
import io
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path

from xaibench.record.schema import Record

SCORE_COLUMNS = (
    *("dataset", "case", "model", "target", "method", "params", "metric", "value"),
    *("status", "reason", "seconds", "passes", "peak_mb", "seed"),
)
_AT_ONCE = 20_000  # records whose lines are sorted in memory, some 6 kB each
_BLOCK = 100  # records that are written to disk and read back together
_order = attrgetter("dataset", "case", "model", "target", "method", "params", "seed", "map_key")
_Lines = tuple[tuple[object, ...], str]  # of one record: what it is sorted by, and its text


def tidy(records: Iterable[Record]) -> list[dict[str, object]]:
    """One dictionary per score with the keys :data:`SCORE_COLUMNS`, sorted by dataset, case, model, target and method.

    A record without any score gives one line with an empty metric, so that a failed map stays visible.
    """
    rows = (row for record in sorted(records, key=_order) for row in _rows(record))
    return [dict(zip(SCORE_COLUMNS, row, strict=True)) for row in rows]


def csv_parts(records: Iterable[Record], folder: Path, at_once: int = _AT_ONCE) -> Iterator[str]:
    """The text of ``scores.csv``: a head, and the lines of :func:`tidy`, sorted by merging sorted chunks.

    All chunks but the last wait in temporary files.

    Args:
        records: read once.
        folder: for temporary files.
        at_once: how many of them a chunk has.
    """
    yield ",".join(SCORE_COLUMNS) + "\n"
    waiting = ((_order(record), csv_text(_rows(record))) for record in records)
    chunks: list[Iterable[_Lines]] = []
    chunk = sorted(islice(waiting, at_once))
    while len(chunk) == at_once:
        chunks.append(_on_disk(chunk, folder))
        chunk = sorted(islice(waiting, at_once))
    for _, text in heapq.merge(*chunks, chunk):
        yield text


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as lines of comma-separated values; None is an empty one."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _rows(r: Record) -> list[tuple[object, ...]]:
    head = r.dataset, r.case, r.model, r.target, r.method, r.params
    tail = r.seconds, r.passes, r.peak_mb, r.seed
    scores = [(s.metric, s.value, s.status, s.reason) for s in r.scores] or [("", None, r.status, r.reason)]
    return [(*head, *score, *tail) for score in scores]


def _on_disk(chunk: list[_Lines], folder: Path) -> Iterable[_Lines]:
    """The chunk, to be read from a file that vanishes after its last line."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the last reference to it
    blocks = range(0, len(chunk), _BLOCK)
    for start in blocks:
        pickle.dump(chunk[start : start + _BLOCK], file)
    file.seek(0)
    return chain.from_iterable(pickle.load(file) for _ in blocks)
