"""What each map says of each vessel segment and of each false positive: ``segments.csv`` and ``false_positives.csv``.

The rows of a case are kept in the run's folder under ``tables/``, by what they are about and with the maps they were
taken from: a case is computed again only if there are other maps now, or another version of xaibench. The two files
are put together from there.
"""

import contextlib
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from xaibench.data.anatomy.segments import vessel_segments
from xaibench.data.case import Case
from xaibench.disk import read_bounded
from xaibench.metrics.localisation.false_positives import compare, false_positives
from xaibench.metrics.localisation.width_response import relative
from xaibench.models.evaluate import predict
from xaibench.record.checksum import seal, verify
from xaibench.record.score_table import csv_text
from xaibench.record.store import Store, write_text
from xaibench.record.strict_json import decode
from xaibench.running.resolve import Run
from xaibench.running.rng import generator_of
from xaibench.scorer.batching import evaluating

ABOUT = ("dataset", "case", "model", "target", "seed")
SEGMENT_COLUMNS = ("segment", "y", "x", "caliber", "contrast", "length", "pixels", "thin", "found")
FALSE_POSITIVE_COLUMNS = ("component", "y", "x", "pixels", "vesselness", "matched", "percentile")
FILES = {"segments": ("segments.csv", SEGMENT_COLUMNS), "components": ("false_positives.csv", FALSE_POSITIVE_COLUMNS)}

Value = int | float | bool | None  # None where there is no value
Row = dict[str, Value]  # by column


class Tables(msgspec.Struct, kw_only=True):
    """What is kept of a case.

    Attributes:
        maps: the keys of its maps by method.
        version: of xaibench, which computed the rows.
        segments, components: the rows of both files.
    """

    maps: dict[str, str] = {}
    version: str = ""
    segments: list[Row]
    components: list[Row]


_DECODER = msgspec.json.Decoder(Tables)


class Subject(NamedTuple):
    """What the rows of a case describe; the first five fields are columns."""

    dataset: str
    case: str
    model: str
    target: str
    seed: int
    case_digest: str
    weights_digest: str


def rows_of(
    case: Case, prediction: np.ndarray, maps: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[str, list[Row]]:
    """The rows of a case in each of :data:`FILES`: one per vessel segment, and one per false-positive component.

    Args:
        case: the image with its labels.
        prediction: (H, W) vessel probability; a segment is ``found`` if it is at least .5 on half of the centreline.
        maps: method to (H, W) attribution; its column is the mean positive attribution on the segment or component ÷
            that in the field of view: 1 is chance.
        rng: draws the places that components are compared with.
    """
    segments, components = vessel_segments(case), false_positives(case, prediction)
    columns = {
        "segments": vars(segments) | {"segment": np.arange(len(segments)), "found": segments.detected(prediction)},
        "components": vars(compare(components, case.fov.numpy(), rng=rng)) | {"component": np.arange(len(components))},
    }
    densities = {method: relative(a, case.fov.numpy()) for method, a in maps.items()}
    rows = {}
    for part, regions in (("segments", segments), ("components", components)):
        values = {name: columns[part][name] for name in FILES[part][1]}
        values |= {method: regions.mean(density) for method, density in densities.items()}
        lines = zip(*(a.tolist() for a in values.values()), strict=True)
        rows[part] = [dict(zip(values, map(_plain, line), strict=True)) for line in lines]
    return rows


def write_tables(run: Run, cases: Iterable[Case]) -> None:
    """Compute the rows that are missing, and write both files for all that the run's folder holds.

    Other methods with maps in the folder, for the same case, model, target and seed, have their columns, too.

    Args:
        run: its folder holds records and maps; its network predicts each case whose rows are missing.
        cases: the run's, each loaded in turn.

    Raises:
        UserError: if the folder cannot be written.
    """
    store, setting = run.store, run.setting
    maps_of: dict[Subject, dict[str, str]] = defaultdict(dict)  # map key to method
    for record in store.stream():
        if record.status == "ok":
            maps_of[Subject(*(getattr(record, name) for name in Subject._fields))][record.map_key] = record.spec
    for case in cases:
        names = (setting.dataset, case.id, setting.model, setting.target, setting.seed)
        subject = Subject(*names, case.digest, setting.weights_digest)
        known = maps_of.get(subject, {})
        keys = {spec: key for key, spec in sorted(known.items())}
        # If an edited function has left the map of its former version beside its own, its own counts.
        keys |= {str(cell.spec): cell.key for cell in run.plan.cells(case.digest) if cell.key in known}
        path = _path(store, subject)
        stored = _read(path)
        if keys and (run.options.force or (stored.maps, stored.version) != (keys, version("xaibench"))):
            records = ((spec, store.read(key)) for spec, key in keys.items())
            loaded = {spec: store.load_map(record) for spec, record in records if record is not None}
            maps = {spec: a for spec, a in loaded.items() if a is not None}
            with evaluating(run.model):
                prediction = predict(run.model, case.image).numpy()
            rows = rows_of(case, prediction, maps, generator_of(setting.seed, case))
            computed = Tables(maps=keys, version=version("xaibench"), **rows)
            write_text(path, seal(msgspec.json.encode(computed)).decode())
    # A case's rows are read again for each file: those of all cases together may not fit into memory.
    order = sorted(maps_of)
    specs = sorted({spec for subject in order for spec in _read(_path(store, subject)).maps})
    for part, (name, columns) in FILES.items():
        heads = (*ABOUT, *columns, *specs)
        tables = ((dict(zip(ABOUT, subject, strict=False)), _read(_path(store, subject))) for subject in order)
        lines = (about | row for about, kept in tables for row in getattr(kept, part))
        parts = (csv_text([map(line.get, heads)]) for line in lines)
        write_text(store.root / name, chain([csv_text([heads])], parts))


def _plain(value: Value) -> Value:
    """Six digits of a number, and None for what is not finite."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _path(store: Store, subject: Subject) -> Path:
    key = hashlib.sha256(json.dumps(subject).encode()).hexdigest()[:24]
    return store.root / "tables" / key[:2] / f"{key}.json"


def _read(path: Path) -> Tables:
    """What is kept of a case; empty if it is absent or damaged, which is the same."""
    with contextlib.suppress(OSError, ValueError):
        raw = read_bounded(path)
        verify(raw)
        tables = decode(_DECODER, raw)
        rows = ((row, columns) for part, (_, columns) in FILES.items() for row in getattr(tables, part))
        if all(row.keys() <= {*columns, *tables.maps} for row, columns in rows):
            return tables
    return Tables(segments=[], components=[])
