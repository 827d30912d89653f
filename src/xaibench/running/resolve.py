"""A run whose names are resolved: what it would take, what is kept of it, and computing the rest."""

from __future__ import annotations

import contextlib
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from xaibench.data.cases import Cases
from xaibench.errors import UserError
from xaibench.record.manifest import ColumnInfo, Manifest
from xaibench.record.store import Store
from xaibench.registry import MetricTraits, Spec, dataset_traits
from xaibench.running.artefacts.previews import keeping_pictures
from xaibench.running.artefacts.segment_tables import write_tables
from xaibench.running.dask.config import Cluster
from xaibench.running.execute import Report, Watch, execute
from xaibench.running.plan import Kept, Plan, Setting
from xaibench.running.threads import computing_with, threads_here


@dataclass(frozen=True)
class Prepared:
    """A request with all its names resolved: nothing was computed or written yet.

    Attributes:
        cases, methods, model, setting, store, device: see :func:`xaibench.running.execute.execute`.
        why: one sentence on which data is used and why.
        data: what names the data, to be read again.
        network: what names the model, to be loaded again; None where it was given as an object.
        threads: that each process computes with; None for PyTorch's own choice.
        timeout: seconds after which a cell has failed.
        cluster: where to compute; None for this process.
    """

    cases: Cases
    methods: list[Spec]
    model: nn.Module
    setting: Setting
    store: Store
    device: str
    why: str
    data: str
    network: str | None
    threads: int | None = None
    timeout: float | None = None
    cluster: Cluster | None = None

    def cautions(self) -> list[str]:
        """Sentences that the user should know before anything is computed."""
        found = [self.cluster.caution()] if self.cluster is not None else []
        known = Manifest()
        with contextlib.suppress(UserError):
            known = self.store.read_run()
        before, now = known.machine.get("threads"), self.threads or torch.get_num_threads()
        if before is not None and str(before) != str(now):
            found.append(
                f"What is kept in {self.store.root} was computed with {before} threads, and now there are {now}, which "
                f"can change the last digits: --threads {before} would not."
            )
        return [sentence for sentence in found if sentence]

    def remaining(self, force: bool = False) -> dict[str, int]:
        """How many cells there are, are kept, need scores only, and need a map; reads the cases, computes nothing."""
        count = {"cells": 0, "kept": 0, "scores": 0, "maps": 0}
        plan = Plan(self.methods, self.setting)
        kept = Kept(self.store, plan)
        for case in self.cases:
            for cell in plan.cells(case.digest):
                todo = kept.missing(cell, force)
                count["cells"] += 1
                count["maps" if todo is None else "scores" if todo else "kept"] += 1
        return count

    def manifest(self, command: str) -> Manifest:
        """What ``run.json`` keeps of this command and of former ones in the same folder."""
        known = Manifest()
        with contextlib.suppress(UserError):  # a damaged one is written anew
            known = self.store.read_run()
        packages = ("xaibench", "torch", "monai", "numpy", "scipy", "scikit-image", "scikit-learn")
        return Manifest(
            command=command,
            data=self.data,
            network=self.network,
            dataset=self.setting.dataset,
            split=self.setting.split,
            note=self.cases.note,
            terms=dataset_traits(self.setting.dataset).terms,
            # A folder can hold what several commands asked for: the leaderboard is about all of it.
            cases=sorted({*known.cases, *self.cases.ids}),
            methods=list(dict.fromkeys([*known.methods, *map(str, self.methods)])),
            metrics=list(dict.fromkeys([*known.metrics, *map(str, self.setting.metrics)])),
            metric_versions=known.metric_versions
            | {str(m): " ".join(m.plugin.distribution) for m in self.setting.metrics},
            columns=known.columns | {str(m): _column(m) for m in self.setting.metrics},
            model=self.setting.model,
            weights_digest=self.setting.weights_digest,
            target=self.setting.target,
            seed=self.setting.seed,
            device=self.device,
            cluster=None if self.cluster is None else self.cluster.to_json(),
            versions={"python": platform.python_version(), **{p: version(p) for p in packages}},
            machine={
                "system": platform.system(),
                "processor": platform.processor() or platform.machine(),
                "threads": self.threads or torch.get_num_threads(),
            },
        )


def _column(metric: Spec[MetricTraits]) -> ColumnInfo:
    """What tables and reports need to know of a metric, so that they need not import the plugin.

    ``main`` and ``narrow`` hold for the metric at its own parameters; only the number of steps does not make it another
    measure.
    """
    traits, name = metric.plugin.traits, metric.plugin.name
    varied = any(parameter != "steps" for parameter, _ in metric.given)
    low, high = (float(end) if math.isfinite(end) else None for end in traits.range)
    return ColumnInfo(
        label=(traits.label or name) + str(metric).removeprefix(name),
        explanation=traits.explanation or metric.plugin.summary,
        main=None if varied else traits.main,
        narrow=traits.narrow,
        better=traits.better,
        low=low,
        high=high,
        family=metric.plugin.family,
        gate=traits.gate,
    )


def run_prepared(
    prepared: Prepared,
    command: str,
    report: Report,
    *,
    watch: Watch | None = None,
    force: bool = False,
    fail_fast: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Execute and keep what was prepared; ``scores.csv`` is written also after an interruption.

    Args:
        prepared: what.
        command: kept in ``run.json``.
        report, watch, force, fail_fast: see :func:`xaibench.running.execute.execute`.
        say: called with what may be of use to know of workers.

    Returns:
        The number of cells with a failure in them.
    """
    p = prepared
    p.store.write_run(p.manifest(command))
    try:
        with computing_with(p.threads):
            how: dict[str, Any] = {"device": p.device, "force": force, "fail_fast": fail_fast}
            how |= {"watch": watch, "timeout": p.timeout}
            if p.cluster is None:
                failures = execute(p.cases, p.methods, p.model, p.setting, p.store, report, **how)
            else:
                from xaibench.running.dask.submit import distribute  # and with it Dask

                what = (p.cluster, p.cases, p.methods, p.model, p.setting, p.store, report)
                failures = distribute(*what, threads=threads_here(), say=say, **how)
            cases = keeping_pictures(p.store, p.cases, p.model, p.setting.weights_digest, force=force)
            write_tables(p.store, cases, p.methods, p.model, p.setting, force=force)
            return failures
    finally:
        p.store.write_scores()
