"""One cell of a run: the map of a method for a case, and its scores."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from msgspec.structs import replace
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import explain
from xaibench.metrics.cost import Cost, measured
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.record.maps import as_stored
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
        case: the image.
        first: whether this is the run's first case.
        kept: the stored record, if its map need not be computed again; else None.
        missing: the scores to compute, by key.
    """

    cell: Cell
    case: Case
    first: bool
    kept: Record | None
    missing: dict[str, Spec]

    @property
    def name(self) -> str:
        """Such as ``"gradcam on 01"``."""
        return f"{self.cell.spec} on {self.case.id}"

    def lost(self, setting: Setting, why: str) -> Record:
        """The record of a task that was ended from outside: what was missing has failed, for this reason."""
        if self.kept is None:
            return replace(_blank(self, setting), status="failed", reason=why)
        failed = [replace(_entry(metric, key), reason=why) for key, metric in self.missing.items()]
        return _with_scores(self.kept, failed)


@dataclass(frozen=True)
class Context:
    """What a cell is computed with.

    Attributes:
        scorer: network and target, or the reason why there is none.
        setting: what decides a cell beside method and case.
        fail_fast: raise the first failure instead of recording it.
        keep: stores a record, and its (H, W) map if it is a new one; returns the record as it is stored.
        begin: called with the name of each part of a cell as it begins: ``"map"``, then each metric.
    """

    scorer: Scorer | Skipped
    setting: Setting
    fail_fast: bool
    keep: Callable[[Record, np.ndarray | None], Record]
    begin: Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """A computed cell.

    Attributes:
        record: of the cell.
        attribution: (H, W) float32, its map as it will be read back, if it is a new one.
        trace: the traceback of the last failure, or "".
    """

    record: Record
    attribution: np.ndarray | None = None
    trace: str = ""


def compute(task: Task, attribution: np.ndarray | None, context: Context) -> Result:
    """Compute what a task asks for, and keep the map before it is scored.

    Args:
        task: which cell, and what is missing of it.
        attribution: (H, W) float32, the stored map; None if there is none.
        context: what it is computed with.

    Raises:
        UserError: if the method or a metric refuses its input on the first case of a run, which is likely to be a
            mistake in the command. On a later case the cell has failed, as with any other exception.
    """
    scorer, result = context.scorer, Result(task.kept or _blank(task, context.setting))
    if isinstance(scorer, Scorer):
        scorer.shared.forget()  # so that no method's cost depends on which came before it
    # Metrics that compute further maps, such as the ground-truth metrics, need no map of the image.
    needed = not task.missing or any(m.plugin.traits.measures != "method" for m in task.missing.values())
    if isinstance(scorer, Skipped) or (needed and attribution is None):
        result = _compute_map(task, context)
        attribution = result.attribution
    if result.record.status != "ok" or isinstance(scorer, Skipped):
        return result
    if attribution is None:  # no metric looks at it: they measure further maps
        attribution = np.zeros(tuple(task.case.fov.shape), np.float32)
    scores, trace = _compute_scores(task, result.record, attribution, scorer, context)
    record = context.keep(_with_scores(result.record, scores), None)
    return Result(record, result.attribution, trace)


@dataclass
class _Outcome:
    """Whether a map or a score was computed, and why not."""

    status: Literal["ok", "skipped", "failed"] = "ok"
    reason: str = ""
    trace: str = ""


@contextmanager
def _outcome(what: str, task: Task, context: Context) -> Iterator[_Outcome]:
    """Make an exception of the block its outcome, unless it ends the run: a plugin may fail in any way."""
    outcome = _Outcome()
    try:
        yield outcome
    except Skipped as why:
        outcome.status, outcome.reason = "skipped", str(why)
    except Exception as error:
        if isinstance(error, UserError) and task.first:
            raise UserError(f"{what} on {task.case.id}: {error.message}", error.hint) from error
        if context.fail_fast:
            error.add_note(f"That was {what} on {task.case.id}.")
            raise
        outcome.status, outcome.reason, outcome.trace = "failed", reason(error), traceback.format_exc()


def _compute_map(task: Task, context: Context) -> Result:
    case, scorer, spec, seed = task.case, context.scorer, task.cell.spec, context.setting.seed
    record, attribution = _blank(task, context.setting), None
    context.begin("map")
    if task.kept is not None:
        record = replace(record, scores=task.kept.scores)
    with _outcome(str(spec), task, context) as outcome:
        if isinstance(scorer, Skipped):
            raise scorer
        refuse_what_does_not_fit(spec, case, scorer, seed)
        with guarded(scorer, case, seed), measured(scorer) as cost:
            refuse_what_keeps_memory(str(spec), case.fov.numel())
            computed = _map(seed, scorer, case.image, spec, case).numpy()
        record, attribution = replace(record, seconds=cost.seconds, passes=cost.passes, peak_mb=cost.peak_mb), computed
    record = context.keep(replace(record, status=outcome.status, reason=outcome.reason), attribution)
    # The map is scored as it will be read back, so that a score added later agrees with one computed at once.
    return Result(record, None if attribution is None else as_stored(attribution), outcome.trace)


def _compute_scores(
    task: Task, record: Record, attribution: np.ndarray, scorer: Scorer, context: Context
) -> tuple[list[ScoreEntry], str]:
    """The missing scores of a map, and the traceback of the last one that failed or ""."""
    case, seed = task.case, context.setting.seed
    method = Method(task.cell.spec, partial(_map, seed))
    cost = Cost(record.seconds, record.passes, record.peak_mb if record.peak_mb is not None else 0.0)
    entries, trace = [], ""
    for key, metric in task.missing.items():
        entry = _entry(metric, key)
        context.begin(str(metric))
        with _outcome(str(metric), task, context) as outcome:
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
            entry = _scored(entry, score)
        if outcome.status != "ok":
            entry = replace(entry, status=outcome.status, reason=outcome.reason)
        entries.append(entry)
        trace = outcome.trace or trace
    return entries, trace


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
        case=task.case.id,
        case_digest=task.case.digest,
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
