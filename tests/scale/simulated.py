"""A run's folder with as many cells as one likes, written as a run writes them, without computing any."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from xaibench import registry
from xaibench.record.checksum import seal
from xaibench.record.keys import score_keys
from xaibench.record.manifest import Manifest
from xaibench.record.schema import SCHEMA_VERSION
from xaibench.record.store import Store
from xaibench.registry import Spec
from xaibench.running.plan import SUITES, Plan, Setting, chosen_metrics

CURVES = (
    "srg",
    "deletion",
    "insertion",
    "srg-thin[steps=10]",
    "srg-thick[steps=10]",
    "dice-deletion",
    "irof[steps=10]",
)
CURVES += ("caliber-response", "contrast-response")
TURNS = 7  # chance scores of each overlap metric


@dataclass(frozen=True)
class Simulation:
    """What the cells are: methods × models × images, one target, the metrics of the suite ``standard``.

    With 21 points on each of nine curves a record takes 20 kB, which is what one of a real run takes.
    """

    methods: int
    models: int
    images: int
    points: int = 21

    @property
    def cells(self) -> int:
        return self.methods * self.models * self.images

    @property
    def specs(self) -> list[Spec]:
        """A tenth of them controls."""
        plugins = registry.available("explainer")[0]
        controls = [Spec(p) for p in plugins if p.traits.control][: max(2, self.methods // 10)]
        few = [registry.parse("explainer", f"occlusion[patch={16 + i}]") for i in range(self.methods - len(controls))]
        return few + controls

    @property
    def settings(self) -> list[Setting]:
        metrics = chosen_metrics([], SUITES["standard"])
        return [
            Setting("many", "test", f"net-{m:02d}", digest(f"net-{m}"), "vessels", 0, metrics)
            for m in range(self.models)
        ]

    @property
    def ids(self) -> list[str]:
        return [f"{i:04d}" for i in range(self.images)]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write(simulation: Simulation, root: Path, *, processes: int = 2) -> Store:
    """Write the run; returns its store. Values, chance scores and cost differ from cell to cell, curves do not.

    Args:
        simulation: what.
        root: where to.
        processes: that write.
    """
    store = Store(root)
    specs = list(map(str, simulation.specs))
    store.write_run(Manifest(dataset="many", cases=simulation.ids, methods=specs))
    for i in range(256):
        (root / "cells" / f"{i:02x}").mkdir(parents=True, exist_ok=True)
    parts = [(simulation, root, simulation.ids[i::processes]) for i in range(processes)]
    if processes == 1:
        _write_cases(*parts[0])
    else:
        with ProcessPoolExecutor(processes, get_context("fork")) as pool:
            list(pool.map(_write_cases, *zip(*parts, strict=True)))
    return store


def _write_cases(simulation: Simulation, root: Path, ids: Sequence[str]) -> None:
    rng = np.random.default_rng(int(ids[0]))
    texts = list(map(repr, rng.uniform(size=20_000).tolist()))
    for setting in simulation.settings:
        plan = Plan(simulation.specs, setting)
        templates = [_template(spec, setting, plan, simulation.points) for spec in simulation.specs]
        for case in ids:
            level = int(rng.integers(0, 1000))  # an image is easy or hard for all methods
            for m, (cell, template) in enumerate(zip(plan.cells(digest(case)), templates, strict=True)):
                words = [case, digest(case), cell.key, *score_keys(cell.key, [i for i, _ in plan.metrics])]
                first = (int(rng.integers(0, 15_000)) + level + 10 * m) % 19_000
                content = template.filled(words, texts[first : first + template.numbers])
                file = os.open(f"{root}/cells/{cell.key[:2]}/{cell.key}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.write(file, content)
                os.close(file)


class _Template:
    """A record's text with holes for what differs from cell to cell."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        self._parts = re.split(r'(@word\d+|"@number")', text)
        self._words = [(i, int(p[5:])) for i, p in enumerate(self._parts) if p.startswith("@word")]
        self._numbers = [i for i, p in enumerate(self._parts) if p == '"@number"']
        self.numbers = len(self._numbers)

    def filled(self, words: Sequence[str], numbers: Sequence[str]) -> bytes:
        parts = self._parts.copy()
        for i, word in self._words:
            parts[i] = words[word]
        for i, number in zip(self._numbers, numbers, strict=True):
            parts[i] = number
        return seal("".join(parts).encode())


def _bound(metric: Spec, end: int) -> float | None:
    bound = float(metric.plugin.traits.range[end])
    return bound if np.isfinite(bound) else None


def _template(spec: Spec, setting: Setting, plan: Plan, points: int) -> _Template:
    """The words are case, its digest, map key, score keys."""
    rng = np.random.default_rng(0)
    scores: list[dict[str, Any]] = [
        {
            "metric": str(m),
            "value": "@number",
            "status": "ok",
            "reason": "",
            "better": m.plugin.traits.better,
            **{end: _bound(m, i) for i, end in enumerate(("low", "high"))},
            "family": m.plugin.family,
            "key": f"@word{3 + i}",
            "curve": {axis: rng.uniform(size=points).tolist() for axis in "xy"} if str(m) in CURVES else None,
            "null": ["@number"] * TURNS if m.plugin.traits.mask else [],
            "gate": m.plugin.traits.gate,
        }
        for i, (_, m) in enumerate(plan.metrics)
    ]
    scores[-1] |= {"value": None, "status": "skipped", "reason": "No segment of one has the contrast of the other."}
    distribution, version = spec.plugin.distribution
    about: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "dataset": setting.dataset,
        "split": setting.split,
        "case": "@word0",
        "case_digest": "@word1",
    }
    about |= {"model": setting.model, "weights_digest": setting.weights_digest, "target": setting.target}
    about |= {"method": spec.plugin.name, "params": ",".join(f"{k}={v}" for k, v in spec.given), "spec": str(spec)}
    about |= {"family": spec.plugin.family, "control": spec.plugin.traits.control, "signed": False}
    about |= {"distribution": distribution, "version": version, "seed": 0, "status": "ok", "reason": ""}
    cost = {"seconds": "@number", "passes": 50, "peak_mb": "@number"}
    scores.sort(key=lambda s: str(s["metric"]))
    return _Template(about | {"map_key": "@word2", "map_digest": ""} | cost | {"scores": scores})
