"""Records with known scores, to be aggregated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from xaibench.record import Record, ScoreEntry, map_key, score_key

BETTER = {"deletion": "lower", "thin-gap": "zero", "sparseness": "none", "seconds": "lower", "passes": "lower"}
UNBOUNDED = {"lift-thin", "lift-thick", "thin-gap", "seconds", "passes"}


def entry(metric: str, value: float | None, key: str, *, status: str = "", reason: str = "", **rest: Any) -> ScoreEntry:
    return ScoreEntry(
        metric=metric,
        value=value,
        status=status or ("failed" if value is None else "ok"),
        reason=reason or ("it broke" if value is None else ""),
        better=BETTER.get(metric, "higher"),
        low=-math.inf if metric in UNBOUNDED else -1.0,
        high=math.inf if metric in UNBOUNDED else 1.0,
        family="faithfulness",
        key=score_key(key, metric=metric, parameters={}, version="1"),
        **rest,
    )


def record(spec: str, case: str, scores: Mapping[str, float | None], **changed: Any) -> Record:
    """A record of that method on that case; a score of None has failed."""
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
    named = ("method", "distribution", "version", "case_digest", "weights_digest", "target", "seed")
    key = map_key(parameters={"given": params}, **{n: about[n] for n in named})
    return Record(**about, map_key=key, scores=[entry(m, v, key) for m, v in scores.items()])


def records(table: Mapping[str, Sequence[float | None]], metric: str = "srg", **changed: Any) -> list[Record]:
    """Records of one metric: per method its score on image "01", "02", …"""
    return [
        record(spec, f"{i:02d}", {metric: value}, **changed)
        for spec, values in table.items()
        for i, value in enumerate(values, 1)
    ]
