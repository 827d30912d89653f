"""One cell of a run: the map of a method for a case, and its scores."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from msgspec.structs import replace
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import explain
from xaibench.metrics.cost import Cost, measured
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.record.schema import Record, ScoreEntry
from xaibench.registry import Spec
from xaibench.running.plan import Cell, Setting
from xaibench.running.rng import generator_of
from xaibench.running.sandbox.guard import guarded, leaving_alone, reason
from xaibench.running.sandbox.memory import refuse_what_does_not_fit
from xaibench.running.sandbox.memory_growth import refuse_what_keeps_memory
from xaibench.scorer import Scorer


@dataclass(frozen=True)
class Task:
    """A cell with something left to compute.

    Attributes:
        cell: method, map key and metrics.
        case_id: the image.
        case_digest: content digest of the image and its labels.
        kept: the stored record, if its map need not be computed again; else None.
        missing: the scores to compute, by key.
    """

    cell: Cell
    case_id: str
    case_digest: str
    kept: Record | None
    missing: dict[str, Spec]

    @property
    def name(self) -> str:
        """Such as ``"gradcam on 01"``."""
        return f"{self.cell.spec} on {self.case_id}"

    def lost(self, setting: Setting, why: str) -> Record:
        """The record of a task that was ended from outside: what was missing has failed, for this reason."""
        if self.kept is None:
            return replace(_blank(self, setting), status="failed", reason=why)
        failed = [replace(_entry(metric, key), reason=why) for key, metric in self.missing.items()]
        return _with_scores(self.kept, failed)


class MapStore(Protocol):
    """Where a cell reads and writes: a :class:`~xaibench.record.store.Store`, or memory on a worker."""

    def load_map(self, of: Record) -> np.ndarray | None:
        """(H, W) float32, the record's map as it is stored; None if there is none."""

    def write(self, record: Record, attribution: np.ndarray | None = None) -> Record:
        """Store a record, and its map if there is a new one; returns the record as it is stored."""


@dataclass(frozen=True)
class Context:
    """What all cells of one case share.

    Attributes:
        case: the image.
        scorer: network and target, or the reason why there is none.
        setting: what decides a cell beside method and case.
        store: where records and maps go.
        fail_fast: raise the first failure instead of recording it.
        begin: called with the name of each part of a cell as it begins: ``"map"``, then each metric.
        first: whether this is the run's first case.
    """

    case: Case
    scorer: Scorer | Skipped
    setting: Setting
    store: MapStore
    fail_fast: bool
    begin: Callable[[str], None]
    first: bool


def compute(task: Task, context: Context) -> tuple[Record, str]:
    """Compute and store what a task asks for.

    Args:
        task: which cell, and what is missing of it.
        context: what the cells of this case share.

    Returns:
        The record, and the traceback of its last failure or "".

    Raises:
        UserError: if the method or a metric refuses its input on the first case of a run, which is likely to be a
            mistake in the command. On a later case the cell has failed, as with any other exception.
    """
    record, trace, scorer = task.kept, "", context.scorer
    if isinstance(scorer, Scorer):
        scorer.shared.forget()  # so that no method's cost depends on which came before it
    # Metrics that compute further maps, such as the ground-truth metrics, need no map of the image.
    needed = not task.missing or any(m.plugin.traits.measures != "method" for m in task.missing.values())
    there = record is not None and context.store.load_map(record) is not None
    if isinstance(scorer, Skipped) or (needed and not there):
        context.begin("map")
        record, trace = _compute_map(task, context)
    record = record or _blank(task, context.setting)
    if record.status != "ok" or isinstance(scorer, Skipped):
        return record, trace
    return _compute_scores(task, record, context, scorer)


def _compute_map(task: Task, context: Context) -> tuple[Record, str]:
    case, scorer, spec, seed = context.case, context.scorer, task.cell.spec, context.setting.seed
    record, trace, attribution = _blank(task, context.setting), "", None
    if task.kept is not None:
        record = replace(record, scores=task.kept.scores)
    try:
        if isinstance(scorer, Skipped):
            raise scorer
        refuse_what_does_not_fit(spec, case, scorer, seed)
        with guarded(scorer, case, seed), measured(scorer) as cost:
            refuse_what_keeps_memory(str(spec), case.fov.numel())
            attribution = _map(seed, scorer, case.image, spec, case).numpy()
        record = replace(record, seconds=cost.seconds, passes=cost.passes, peak_mb=cost.peak_mb)
    except Skipped as why:
        record = replace(record, status="skipped", reason=str(why))
    except Exception as error:  # a plugin may fail in any way; the run goes on
        _end_the_run(error, str(spec), context)
        attribution, record = None, replace(record, status="failed", reason=reason(error))
        trace = traceback.format_exc()
    return context.store.write(record, attribution), trace


def _end_the_run(error: Exception, what: str, context: Context) -> None:
    """Raise errors that end the run, with the name of what failed; return where the run goes on."""
    if isinstance(error, UserError) and context.first:
        raise UserError(f"{what} on {context.case.id}: {error.message}", error.hint) from error
    if context.fail_fast:
        error.add_note(f"That was {what} on {context.case.id}.")
        raise error


def _compute_scores(task: Task, record: Record, context: Context, scorer: Scorer) -> tuple[Record, str]:
    case, seed = context.case, context.setting.seed
    # The stored map is scored, so that a score added later agrees with one computed at once.
    attribution = context.store.load_map(record)
    if attribution is None:
        if any(metric.plugin.traits.measures == "map" for metric in task.missing.values()):
            where = f"the map of {record.spec} on {record.case}"
            raise UserError(f"What was just kept as {where} cannot be read back.", "Check the disk, then go on.")
        # No metric looks at it: they measure further maps, or the cost.
        attribution = np.zeros(tuple(case.fov.shape), np.float32)
    method = Method(task.cell.spec, partial(_map, seed))
    cost = Cost(record.seconds, record.passes, record.peak_mb if record.peak_mb is not None else 0.0)
    entries, trace = [], ""
    for key, metric in task.missing.items():
        entry = _entry(metric, key)
        context.begin(str(metric))
        try:
            # Tests show that our own metrics change nothing, and most take less time than a guard's comparison.
            ours = metric.plugin.distribution[0] == "xaibench" and not metric.plugin.injection.takes("method")
            with guarded(scorer, case, seed, trusted=ours):
                score: Score = metric(
                    attribution=attribution.copy(),  # a metric may work in place
                    case=case,
                    scorer=scorer,
                    rng=generator_of(seed, case),
                    method=method,
                    cost=cost,
                )
            entries.append(_scored(entry, score))
        except Skipped as why:
            entries.append(replace(entry, status="skipped", reason=str(why)))
        except Exception as error:
            _end_the_run(error, str(metric), context)
            entries.append(replace(entry, status="failed", reason=reason(error)))
            trace = traceback.format_exc()
    return context.store.write(_with_scores(record, entries)), trace


def _with_scores(record: Record, entries: list[ScoreEntry]) -> Record:
    """The record with these scores in addition to its others."""
    new = {entry.key for entry in entries}
    kept = [s for s in record.scores if s.key not in new]
    return replace(record, scores=sorted([*kept, *entries], key=lambda s: s.metric))


def _scored(entry: ScoreEntry, score: Score) -> ScoreEntry:
    """The entry with a metric's score.

    Raises:
        ValueError: if the score is not finite or its curve has halves of different lengths.
    """
    if not np.isfinite(score.value):
        raise ValueError(f"{entry.metric} gave {score.value}")
    curve = None
    if score.curve is not None:
        x, y = ([float(v) for v in half] for half in score.curve)
        if len(x) != len(y):
            raise ValueError(f"{entry.metric} gave a curve of {len(x)} places and {len(y)} values")
        curve = {"x": x, "y": y}
    null = tuple(map(float, score.null))
    if not np.isfinite(null).all():
        raise ValueError(f"{entry.metric} gave values by chance that are not finite")
    return replace(entry, value=float(score.value), status="ok", reason="", curve=curve, null=null)


def _map(seed: int, scorer: Scorer, image: Tensor, spec: Spec, case: Case) -> Tensor:
    return explain(scorer, image, method=spec, seed=seed, case=case, watch=leaving_alone)


def _blank(task: Task, setting: Setting) -> Record:
    spec = task.cell.spec
    distribution, version = spec.plugin.distribution
    return Record(
        dataset=setting.dataset,
        split=setting.split,
        case=task.case_id,
        case_digest=task.case_digest,
        model=setting.model,
        weights_digest=setting.weights_digest,
        target=setting.target,
        method=spec.plugin.name,
        params=",".join(f"{k}={v}" for k, v in spec.given),
        spec=str(spec),
        family=spec.plugin.family,
        control=spec.plugin.traits.control,
        signed=spec.plugin.traits.signed,
        distribution=distribution,
        version=version,
        seed=setting.seed,
        status="ok",
        reason="",
        seconds=0.0,
        passes=0,
        peak_mb=None,
        map_key=task.cell.key,
    )


def _entry(metric: Spec, key: str) -> ScoreEntry:
    traits = metric.plugin.traits
    low, high = traits.range
    return ScoreEntry(
        metric=str(metric),
        value=None,
        status="failed",
        reason="not computed",
        better=traits.better,
        low=float(low),
        high=float(high),
        family=metric.plugin.family,
        key=key,
        gate=traits.gate,
    )
