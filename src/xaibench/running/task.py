"""One cell of a run: the map of a method for a case, and its scores."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
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


class Keeping(Protocol):
    """What a cell asks of where it is kept: a :class:`~xaibench.record.store.Store`, or something in memory."""

    def load_map(self, of: Record) -> np.ndarray | None:
        """(H, W) float32, the record's map as it was kept; None if it is not there."""

    def write(self, record: Record, attribution: np.ndarray | None = None) -> Record:
        """Keep a record, and its map if there is a new one; returns it as it is kept."""


@dataclass(frozen=True)
class Context:
    """What the cells of one case share, and where they go.

    Attributes:
        case: the image.
        scorer: network and target, or why there is none.
        setting: the rest of what decides a cell.
        store: where records are kept.
        fail_fast: raise the first failure instead of recording it.
        begin: called with the name of each part of a cell as it begins.
        first: whether it is the run's first case.
    """

    case: Case
    scorer: Scorer | Skipped
    setting: Setting
    store: Keeping
    fail_fast: bool
    begin: Callable[[str], None]
    first: bool


def compute_cell(cell: Cell, kept: Record | None, todo: dict[str, Spec] | None, context: Context) -> tuple[Record, str]:
    """Compute what is missing of a cell, and keep it.

    Args:
        cell: method and case.
        kept: what is there of it.
        todo: the scores that are missing, by key; None if the map is, too.
        context: what the cells of this case share.

    Returns:
        The record, and the traceback of its last failure or "".

    Raises:
        UserError: if the method or a metric refuses what it is asked for on the first image of a run: then that is
            likely to be a mistake of who asked. On a later one it has failed there, as with any other exception.
    """
    record, trace = kept, ""
    if isinstance(context.scorer, Scorer):
        context.scorer.shared.forget()  # so that no method's cost depends on which came before it
    if record is None or todo is None:
        record, todo = None, cell.scores
    # A run that asks only for what is read off further maps, such as the truth metrics, needs no map of the image.
    needed = not todo or any(metric.plugin.traits.measures != "method" for metric in todo.values())
    there = record is not None and context.store.load_map(record) is not None
    if isinstance(context.scorer, Skipped) or (needed and not there):
        scores = [] if record is None else record.scores
        context.begin("map")
        record, trace = _compute_map(cell, context, scores)
    record = record or _blank(cell, context.case, context.setting)
    if record.status != "ok" or isinstance(context.scorer, Skipped):
        return record, trace
    return _compute_scores(cell.spec, record, todo, context, context.scorer)


def _compute_map(cell: Cell, context: Context, scores: Sequence[ScoreEntry]) -> tuple[Record, str]:
    case, scorer, setting = context.case, context.scorer, context.setting
    record, trace = replace(_blank(cell, case, setting), scores=scores), ""
    attribution = None
    try:
        if isinstance(scorer, Skipped):
            raise scorer
        refuse_what_does_not_fit(cell.spec, case, scorer, setting.seed)
        with guarded(scorer, case, setting.seed), measured(scorer) as cost:
            refuse_what_keeps_memory(str(cell.spec), case.fov.numel())
            attribution = _map(setting.seed, scorer, case.image, cell.spec, case).numpy()
        record = replace(record, seconds=cost.seconds, passes=cost.passes, peak_mb=cost.peak_mb)
    except Skipped as why:
        record = replace(record, status="skipped", reason=str(why))
    except Exception as error:  # a third party's method may fail in any way; the run goes on
        _end_the_run(error, str(cell.spec), context)
        attribution, record = None, replace(record, status="failed", reason=reason(error))
        trace = traceback.format_exc()
    return context.store.write(record, attribution), trace


def _end_the_run(error: Exception, what: str, context: Context) -> None:
    """Raises what is to end the run, with the name of what failed; returns where the run goes on."""
    if isinstance(error, UserError) and context.first:
        raise UserError(f"{what} on {context.case.id}: {error.message}", error.hint) from error
    if context.fail_fast:
        error.add_note(f"That was {what} on {context.case.id}.")
        raise error


def _compute_scores(
    spec: Spec, record: Record, todo: dict[str, Spec], context: Context, scorer: Scorer
) -> tuple[Record, str]:
    case, setting, store = context.case, context.setting, context.store
    # What is scored is the map as it is kept, so that a score added later agrees with one computed at once.
    attribution = store.load_map(record)
    if attribution is None:
        if any(metric.plugin.traits.measures == "map" for metric in todo.values()):
            where = f"the map of {record.spec} on {record.case}"
            raise UserError(f"What was just kept as {where} cannot be read back.", "Check the disk, then go on.")
        # No metric looks at it: they are read off further maps, or off the cost.
        attribution = np.zeros(tuple(case.fov.shape), np.float32)
    method = Method(spec, partial(_map, setting.seed))
    cost = Cost(record.seconds, record.passes, record.peak_mb if record.peak_mb is not None else 0.0)
    entries, trace = [], ""
    for key, metric in todo.items():
        entry = _entry(metric, key)
        context.begin(str(metric))
        try:
            # Tests show that our own metrics change nothing, and most take less time than a guard's comparison.
            ours = metric.plugin.distribution[0] == "xaibench" and not metric.plugin.injection.takes("method")
            with guarded(scorer, case, setting.seed, trusted=ours):
                score: Score = metric(
                    attribution=attribution.copy(),  # a metric may work in place
                    case=case,
                    scorer=scorer,
                    rng=generator_of(setting.seed, case),
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
    kept = [s for s in record.scores if s.key not in todo]
    record = replace(record, scores=sorted([*kept, *entries], key=lambda s: s.metric))
    return store.write(record), trace


def _scored(entry: ScoreEntry, score: Score) -> ScoreEntry:
    """The entry with what a metric gave; raises if that is no score, or cannot be kept."""
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


def lost_cell(
    cell: Cell, kept: Record | None, todo: dict[str, Spec] | None, case: Case, setting: Setting, reason: str
) -> Record:
    """What is kept of a cell whose computation was ended from outside: what was missing of it has failed.

    Args:
        cell, kept, todo: as for :func:`compute_cell`.
        case: the image.
        setting: the rest of what decides the cell.
        reason: why it was ended.
    """
    if kept is None or todo is None:
        return replace(_blank(cell, case, setting), status="failed", reason=reason)
    done = [s for s in kept.scores if s.key not in todo]
    failed = [replace(_entry(metric, key), reason=reason) for key, metric in todo.items()]
    return replace(kept, scores=sorted([*done, *failed], key=lambda s: s.metric))


def _map(seed: int, scorer: Scorer, image: Tensor, spec: Spec, case: Case) -> Tensor:
    return explain(scorer, image, method=spec, seed=seed, case=case, watch=leaving_alone)


def _blank(cell: Cell, case: Case, setting: Setting) -> Record:
    plugin = cell.spec.plugin
    distribution, version = plugin.distribution
    return Record(
        dataset=setting.dataset,
        split=setting.split,
        case=case.id,
        case_digest=case.digest,
        model=setting.model,
        weights_digest=setting.weights_digest,
        target=setting.target,
        method=plugin.name,
        params=",".join(f"{k}={v}" for k, v in cell.spec.given),
        spec=str(cell.spec),
        family=plugin.family,
        control=plugin.traits.control,
        signed=plugin.traits.signed,
        distribution=distribution,
        version=version,
        seed=setting.seed,
        status="ok",
        reason="",
        seconds=0.0,
        passes=0,
        peak_mb=None,
        map_key=cell.key,
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
