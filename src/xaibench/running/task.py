"""One cell of a run: the map of a method for a case, and its scores."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
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
from xaibench.running.events import watch_passes
from xaibench.running.plan import Cell
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

    @property
    def blank(self) -> Record:
        """The record of the cell before its map is computed, with the scores that are stored."""
        record = blank_record(self.cell, self.case.id, self.case.digest)
        return record if self.kept is None else replace(record, scores=self.kept.scores)

    def lost(self, why: str) -> Record:
        """The record of a task that was ended from outside: what was missing has failed, for this reason."""
        if self.kept is None:
            return replace(self.blank, status="failed", reason=why)
        failed = [replace(blank_entry(metric, key), reason=why) for key, metric in self.missing.items()]
        return _with_scores(self.kept, failed)


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


@dataclass
class _Outcome:
    """Whether a map or a score was computed, and why not."""

    status: Literal["ok", "skipped", "failed"] = "ok"
    reason: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Computation:
    """How a cell is computed.

    Attributes:
        task: which cell, and what is missing of it.
        scorer: network and target, or the reason why there is none.
        fail_fast: raise the first failure instead of recording it.
        keep: stores a record, and its (H, W) map if it is a new one; returns the record as it is stored.
        watch: called with each part of the cell, ``"map"`` or a metric, and the number of its passes so far, as the
            part begins and at every pass.
    """

    task: Task
    scorer: Scorer | Skipped
    fail_fast: bool
    keep: Callable[[Record, np.ndarray | None], Record]
    watch: Callable[[str, int], object]

    def compute(self, attribution: np.ndarray | None) -> Result:
        """Compute what the task asks for, and keep the map before it is scored.

        Args:
            attribution: (H, W) float32, the stored map; None if there is none.

        Raises:
            UserError: if the method or a metric refuses its input on the first case of a run, which is likely to be a
                mistake in the command. On a later case the cell has failed, as with any other exception.
        """
        task, scorer = self.task, self.scorer
        if isinstance(scorer, Skipped):
            return Result(self.keep(replace(task.blank, status="skipped", reason=str(scorer)), None))
        scorer.shared.forget()  # so that no method's cost depends on which came before it
        begin, result = watch_passes(scorer, self.watch), Result(task.kept or task.blank)
        # Metrics that compute further maps, such as the ground-truth metrics, need no map of the image.
        needed = not task.missing or any(m.plugin.traits.measures != "method" for m in task.missing.values())
        if needed and attribution is None:
            begin("map")
            result = self._compute_map(scorer)
            attribution = result.attribution
        if result.record.status != "ok":
            return result
        if attribution is None:  # no metric looks at it: they measure further maps
            attribution = np.zeros(tuple(task.case.fov.shape), np.float32)
        entries, trace = [], ""
        for key, metric in task.missing.items():
            begin(str(metric))
            entry, failure = self._compute_score(blank_entry(metric, key), metric, scorer, result.record, attribution)
            entries.append(entry)
            trace = failure or trace
        return Result(self.keep(_with_scores(result.record, entries), None), result.attribution, trace)

    @cached_property
    def _method(self) -> Method:
        """One for all metrics, which share further maps."""
        return Method(self.task.cell.spec, partial(_map, self.task.cell.plan.setting.seed))

    def _compute_map(self, scorer: Scorer) -> Result:
        case, spec, record, attribution = self.task.case, self.task.cell.spec, self.task.blank, None
        with self._outcome(str(spec)) as outcome:
            refuse_what_does_not_fit(spec, case, scorer, record.seed)
            with guarded(scorer, case, record.seed), measured(scorer) as cost:
                refuse_what_keeps_memory(str(spec), case.fov.numel())
                computed = _map(record.seed, scorer, case.image, spec, case).numpy()
            record, attribution = replace(record, **vars(cost)), computed
        record = self.keep(replace(record, status=outcome.status, reason=outcome.reason), attribution)
        # The map is scored as it will be read back, so that a score added later agrees with one computed at once.
        return Result(record, None if attribution is None else as_stored(attribution), outcome.trace)

    def _compute_score(
        self, entry: ScoreEntry, metric: Spec, scorer: Scorer, record: Record, attribution: np.ndarray
    ) -> tuple[ScoreEntry, str]:
        """The entry with its score, and the traceback of a failure or ""."""
        case, seed = self.task.case, record.seed
        with self._outcome(str(metric)) as outcome:
            # Tests show that our own metrics change nothing, and most take less time than a guard's comparison.
            ours = metric.plugin.distribution[0] == "xaibench" and not metric.plugin.injection.takes("method")
            with guarded(scorer, case, seed, trusted=ours):
                score: Score = metric(
                    attribution=attribution.copy(),  # a metric may work in place
                    case=case,
                    scorer=scorer,
                    rng=generator_of(seed, case),
                    method=self._method,
                    cost=Cost(record.seconds, record.passes, record.peak_mb or 0.0),
                )
            return _scored(entry, score), ""
        return replace(entry, status=outcome.status, reason=outcome.reason), outcome.trace

    @contextmanager
    def _outcome(self, what: str) -> Iterator[_Outcome]:
        """Make an exception of the block its outcome, unless it ends the run: a plugin may fail in any way."""
        outcome, task = _Outcome(), self.task
        try:
            yield outcome
        except Skipped as why:
            outcome.status, outcome.reason = "skipped", str(why)
        except Exception as error:
            if isinstance(error, UserError) and task.first:
                raise UserError(f"{what} on {task.case.id}: {error.message}", error.hint) from error
            if self.fail_fast:
                error.add_note(f"That was {what} on {task.case.id}.")
                raise
            outcome.status, outcome.reason, outcome.trace = "failed", reason(error), traceback.format_exc()


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


def blank_record(cell: Cell, case: str, case_digest: str) -> Record:
    """The record of a cell before anything is computed.

    Args:
        cell: method, map key and setting.
        case: id of the image.
        case_digest: its content digest.
    """
    spec = cell.spec
    distribution, version = spec.plugin.distribution
    return Record(
        **cell.plan.setting.named,
        case=case,
        case_digest=case_digest,
        method=spec.plugin.name,
        params=",".join(f"{k}={v}" for k, v in spec.given),
        spec=str(spec),
        family=spec.plugin.family,
        control=spec.plugin.traits.control,
        signed=spec.plugin.traits.signed,
        distribution=distribution,
        version=version,
        status="ok",
        reason="",
        seconds=0.0,
        passes=0,
        peak_mb=None,
        map_key=cell.key,
    )


def blank_entry(metric: Spec, key: str) -> ScoreEntry:
    """The entry of a metric, with the key of its score, before it is computed."""
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
