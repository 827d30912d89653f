"""A run's folder with as many cells as one likes, written as a run writes them, without computing any."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from xaibench import registry
from xaibench.record.manifest import Manifest
from xaibench.record.schema import Curve, Record, encode
from xaibench.record.store import Store
from xaibench.registry import Spec
from xaibench.running.plan import SUITES, Cell, Plan, Setting, chosen_metrics
from xaibench.running.task import blank_entry, blank_record

CURVES = {"srg", "deletion", "insertion", "srg-thin[steps=10]", "srg-thick[steps=10]", "dice-deletion"}
CURVES |= {"irof[steps=10]", "caliber-response", "contrast-response"}
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
    rng, store = np.random.default_rng(int(ids[0])), Store(root)
    curve = {axis: rng.uniform(size=simulation.points).tolist() for axis in "xy"}
    for setting in simulation.settings:
        plan = Plan(simulation.specs, setting)
        for case in ids:
            level = rng.uniform()  # an image is easy or hard for all methods
            for cell in plan.cells(digest(case)):
                values = 0.9 * rng.uniform(size=(len(setting.metrics), 1 + TURNS)) + 0.1 * level
                record = _record(cell, case, curve, values)
                store.cell_path(cell.key).write_bytes(encode(record))


def _record(cell: Cell, case: str, curve: Curve, values: np.ndarray) -> Record:
    """A finished cell; its last score was skipped.

    Args:
        cell: which.
        case: its image.
        curve: of every metric that has one.
        values: (metrics, 1 + TURNS), a score of each metric and its scores against turned masks.
    """
    scores = [
        replace(
            blank_entry(metric, key),
            value=own,
            status="ok",
            reason="",
            curve=curve if str(metric) in CURVES else None,
            null=null if metric.plugin.traits.mask else (),
        )
        for (key, metric), (own, *null) in zip(cell.scores.items(), values.tolist(), strict=True)
    ]
    why = "No segment of one has the contrast of the other."
    scores[-1] = replace(scores[-1], value=None, status="skipped", reason=why)
    cost = {"seconds": float(values[0, 0]), "passes": 50, "peak_mb": float(values[1, 0])}
    record = blank_record(cell, case, digest(case))
    return replace(record, **cost, scores=sorted(scores, key=lambda s: s.metric))
