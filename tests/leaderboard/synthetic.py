"""Records with known scores, to be aggregated, and false positives beside them."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaibench.leaderboard import aggregate as of_merged
from xaibench.leaderboard.claims.false_positive_table import Component
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.merge import merge
from xaibench.leaderboard.tables.render import render
from xaibench.record import Record, ScoreEntry, Store
from xaibench.record.keys import map_keys

BETTER = {"deletion": "lower", "thin-gap": "zero", "sparseness": "none", "seconds": "lower", "passes": "lower"}
BETTER |= {"mprt": "lower", "thin-gap-matched": "zero", "contrast-response": "none", "fp-lift": "none"}
UNBOUNDED = {"lift-thin", "lift-thick", "thin-gap", "thin-gap-matched", "fp-lift", "seconds", "passes"}
GATES = {"mprt": 0.5}
FAMILIES = {"peak-mb": "cost", "target-sensitivity": "robustness"}


def entry(metric: str, value: float | str | None, key: str, **changed: Any) -> ScoreEntry:
    """A score; None has failed, a text was skipped."""
    status, reason = ("failed", "it broke") if value is None else ("ok", "")
    if isinstance(value, str):
        status, reason, value = value, "no such pixel", None
    end = math.inf if metric in UNBOUNDED else 1.0
    about: dict[str, Any] = {"metric": metric, "value": value, "status": status, "reason": reason}
    about |= {"better": BETTER.get(metric, "higher"), "low": -end, "high": end, "gate": GATES.get(metric)}
    about |= {"family": FAMILIES.get(metric, "faithfulness")}
    about |= {"key": f"{metric} of {key}"}
    return ScoreEntry(**(about | changed))


def record(
    spec: str,
    case: str,
    scores: Mapping[str, float | str | None],
    nulls: Mapping[str, Sequence[float]] | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
    **changed: Any,
) -> Record:
    """A record of a method on a case; a score of None has failed, "skipped" was skipped; details change entries."""
    method, _, params = spec.rstrip("]").partition("[")
    about: dict[str, Any] = {
        "dataset": "drive",
        "split": "test",
        "case": case,
        "case_digest": f"digest-{case}",
        "model": "unet-drive",
        "weights_digest": "0123456789abcdef",
        "target": "vessels",
        "method": method,
        "params": params,
        "spec": spec,
        "family": "control" if changed.get("control") else "cam",
        "control": False,
        "signed": False,
        "distribution": "xaibench",
        "version": "0.1.0",
        "seed": 0,
        "status": "ok",
        "reason": "",
        "seconds": 1.5,
        "passes": 3,
        "peak_mb": None,
    }
    about |= changed
    named = ("method", "distribution", "version", "weights_digest", "target", "seed")
    key = map_keys(parameters={"given": params}, **{n: about[n] for n in named})(about["case_digest"])
    more = {m: {"null": tuple((nulls or {}).get(m, ()))} | dict((details or {}).get(m, {})) for m in scores}
    entries = [entry(m, v, key, **more[m]) for m, v in scores.items()]
    return Record(**about, map_key=key, scores=entries)


def records(table: Mapping[str, Sequence[float | str | None]], metric: str = "srg", **changed: Any) -> list[Record]:
    """Records of one metric: per method its score on image "01", "02", …"""
    return [
        record(spec, f"{i:02d}", {metric: value}, **changed)
        for spec, values in table.items()
        for i, value in enumerate(values, 1)
    ]


def by_column(means: Mapping[str, Sequence[float]]) -> list[Record]:
    """Records of one image: per metric the scores of the methods "a", "b" and "c"."""
    return [record(m, "01", {k: v[i] for k, v in means.items()}) for i, m in enumerate("abc")]


def noisy(level: float, seed: int, n: int = 20, width: float = 0.01) -> list[float]:
    """Scores whose mean is exactly that level."""
    noise = np.random.default_rng(seed).normal(0, width, n)
    return (level + noise - noise.mean()).tolist()


def stored(folder: Path, found: Iterable[Record]) -> Store:
    """A run's folder with these records."""
    store = Store(folder)
    for r in found:
        store.write(r)
    return store


def csv_rows(text: str) -> list[dict[str, str]]:
    """The rows of a table of comma-separated values."""
    return list(csv.DictReader(io.StringIO(text)))


def markdown_rows(found: Leaderboard) -> list[list[str]]:
    """The cells of a leaderboard in Markdown: its heads, a rule, and its rows."""
    table = [line for line in render([found], "markdown").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table]


def leaderboards(found: Iterable[Record], **options: Any) -> list[Leaderboard]:
    """The leaderboards of records in any order."""
    return of_merged.leaderboards(merge([r] for r in found), **options)


def aggregate(found: Iterable[Record], **options: Any) -> Leaderboard:
    """The one leaderboard of some records; with several targets, that of ``vessels``."""
    return leaderboards(found, **options)[0]


def tabulate(
    methods: Mapping[str, Sequence[float | None]], controls: Mapping[str, Sequence[float | None]] | None = None
) -> Leaderboard:
    """A leaderboard of ``srg`` from scores per image, by method and by control."""
    return aggregate([*records(methods), *records(controls or {}, control=True)])


def component(case: str, vesselness: float, matched: float, pixels: float = 10, target: str = "vessels") -> Component:
    return Component("drive", case, "unet-drive", target, pixels, vesselness, matched)


COLUMNS = ("dataset", "case", "model", "target", "seed", "component", "y", "x", "pixels", "vesselness", "matched")


def write_csv(folder: Path, lines: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS) -> None:
    with (folder / "false_positives.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*columns, "percentile", "gradcam"], *lines])
