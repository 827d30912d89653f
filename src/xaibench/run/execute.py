"""Computing the cells of a run on this machine, one case at a time, each kept as soon as it is finished."""

from __future__ import annotations

import contextlib
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import Tensor, nn

from xaibench.data.case import Case, Cases
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import explain
from xaibench.metrics.cost import Cost, measured
from xaibench.metrics.method import Method, scorer_about
from xaibench.metrics.score import Score
from xaibench.record.schema import Record, ScoreEntry
from xaibench.record.store import Store
from xaibench.registry import Spec, takes_method
from xaibench.run.memory import refuse_what_does_not_fit
from xaibench.run.plan import Cell, Setting, missing_scores, plan_case
from xaibench.scorer import Scorer, target
from xaibench.scorer.compiled import Forward, compile_network

Report = Callable[["Event"], None]
Watch = Callable[["Step"], None]


@dataclass(frozen=True)
class Event:
    """What a run tells whoever watches it, once per cell.

    Attributes:
        done, total: cells finished, and all cells.
        cell: such as ``"gradcam on 01"``.
        status: ``"ok"``, ``"skipped"``, ``"failed"`` or ``"kept"`` (it was there already).
        reason: why, of the map or of its first score that failed.
        trace: the traceback of a failure, or "".
    """

    done: int
    total: int
    cell: str
    status: str
    reason: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Step:
    """What a run is at, told at every pass.

    Attributes:
        cell: such as ``"gradcam on 01"``.
        part: ``"map"``, or the metric that is computed.
        passes: of this part so far.
    """

    cell: str
    part: str
    passes: int


def execute(
    cases: Cases,
    methods: Sequence[Spec],
    model: nn.Module,
    setting: Setting,
    store: Store,
    report: Report,
    *,
    watch: Watch | None = None,
    device: str = "cpu",
    compiled: bool = False,
    force: bool = False,
    fail_fast: bool = False,
) -> int:
    """Compute what is missing and keep it in the store.

    Args:
        cases: each is loaded once, in order.
        methods: explainers, controls among them.
        model: in evaluation mode.
        setting: the rest of what decides a cell.
        store: where records are kept, and looked up.
        report: called after each cell.
        watch: called while a cell is computed, as each of its parts begins and at every pass.
        device: where to compute.
        compiled: compile the network before the first pass.
        force: compute also what is there.
        fail_fast: end with the first failure instead of recording it and going on.

    Returns:
        The number of cells with a failure in them.

    Raises:
        UserError: if a method or target is asked for something that does not exist.
    """
    total, done, failures = len(cases) * len(methods), 0, 0
    forward: Forward | None = None
    for case in cases:
        scorer: Scorer | Skipped | None = None
        for cell in plan_case(case, methods, setting):
            kept = store.read(cell.key)
            todo = missing_scores(cell, kept, force)
            if kept is not None and todo == {}:
                record, trace = kept, ""
            else:
                if compiled and forward is None:
                    forward = compile_network(model.to(device), case.image.to(device))
                scorer = scorer or _scorer(model, setting, case, device, forward)
                begin = _watched(watch, f"{cell.spec} on {case.id}", scorer)
                record, trace = _compute(cell, kept, todo, case, scorer, setting, store, fail_fast, begin)
            failed = [record.reason] if record.status == "failed" else []
            failed += [s.reason for s in record.scores if s.status == "failed" and s.key in cell.scores]
            failures += bool(failed)
            done += 1
            status = "failed" if failed else "kept" if record is kept else record.status
            reason = failed[0] if failed else record.reason
            report(Event(done, total, f"{cell.spec} on {case.id}", status, reason, trace))
    return failures


def _compute(
    cell: Cell,
    kept: Record | None,
    todo: dict[str, Spec] | None,
    case: Case,
    scorer: Scorer | Skipped,
    setting: Setting,
    store: Store,
    fail_fast: bool,
    begin: Callable[[str], None],
) -> tuple[Record, str]:
    """The record of a cell with what was missing, and the traceback of its last failure."""
    record, trace = kept, ""
    if isinstance(scorer, Scorer):
        scorer.forget()  # so that no method's cost depends on which came before it
    if record is None or todo is None:
        record, todo = None, cell.scores
    # A run that asks only for what is read off further maps, such as the truth metrics, needs no map of the image.
    needed = not todo or any(metric.plugin.traits["measures"] != "method" for metric in todo.values())
    if isinstance(scorer, Skipped) or (needed and (record is None or store.load_map(record.map_key) is None)):
        scores = [] if record is None else record.scores
        begin("map")
        record, trace = _compute_map(cell, case, scorer, setting, store, fail_fast, scores)
    record = record or _blank(cell, case, setting)
    if record.status != "ok" or isinstance(scorer, Skipped):
        return record, trace
    return _compute_scores(cell.spec, record, todo, case, scorer, setting, store, fail_fast, begin)


def _watched(watch: Watch | None, cell: str, scorer: Scorer | Skipped) -> Callable[[str], None]:
    """Has every pass of a cell told; returns what is to be called as a part of it begins."""
    if watch is None or isinstance(scorer, Skipped):
        return lambda part: None
    tell, part, passes = watch, "", 0

    def passed(pictures: int) -> None:
        nonlocal passes
        passes += pictures
        tell(Step(cell, part, passes))

    def begin(name: str) -> None:
        nonlocal part, passes
        part, passes = name, 0
        tell(Step(cell, part, passes))

    scorer.watch = passed
    return begin


def _scorer(model: nn.Module, setting: Setting, case: Case, device: str, compiled: Forward | None) -> Scorer | Skipped:
    try:
        scorer = Scorer(model, target(setting.target, model, case), device=device, compiled=compiled)
        # What the first scored pass has to find out (micro-batch, memory format, how far the network sees) is not to be
        # charged to one method.
        scorer.near(case.image)
        # Who will be asked about, too, shares the passes from the first map on.
        for other in sorted({t for metric in setting.metrics for t in metric.plugin.traits["targets"]}):
            with contextlib.suppress(Skipped):
                scorer_about(scorer, case, other)
        return scorer
    except Skipped as reason:
        return reason


def _compute_map(
    cell: Cell,
    case: Case,
    scorer: Scorer | Skipped,
    setting: Setting,
    store: Store,
    fail_fast: bool,
    scores: list[ScoreEntry],
) -> tuple[Record, str]:
    record, trace = replace(_blank(cell, case, setting), scores=scores), ""
    attribution = None
    try:
        if isinstance(scorer, Skipped):
            raise scorer
        refuse_what_does_not_fit(cell.spec, case, scorer, setting.seed)
        with measured(scorer) as cost:
            attribution = explain(scorer, case.image, method=cell.spec, seed=setting.seed, case=case).numpy()
        record = replace(record, seconds=cost.seconds, passes=cost.passes, peak_mb=cost.peak_mb)
    except Skipped as reason:
        record = replace(record, status="skipped", reason=str(reason))
    except UserError:
        raise
    except Exception as error:  # a third party's method may fail in any way; the run goes on
        if fail_fast:
            raise
        record = replace(record, status="failed", reason=_reason(error))
        trace = traceback.format_exc()
    store.write(record, attribution)
    return record, trace


def _compute_scores(
    spec: Spec,
    record: Record,
    todo: dict[str, Spec],
    case: Case,
    scorer: Scorer,
    setting: Setting,
    store: Store,
    fail_fast: bool,
    begin: Callable[[str], None],
) -> tuple[Record, str]:
    # What is scored is the map as it is kept, so that a score added later agrees with one computed at once.
    attribution = store.load_map(record.map_key)
    if attribution is None:  # then every metric is read off further maps
        attribution = np.zeros(tuple(case.fov.shape), np.float32)
    method = Method(spec, partial(_map, setting.seed))
    cost = Cost(record.seconds, record.passes, record.peak_mb if record.peak_mb is not None else 0.0)
    entries, trace = [], ""
    for key, metric in todo.items():
        entry = _entry(metric, key)
        begin(str(metric))
        try:
            if metric.plugin.traits["measures"] == "cost":
                score: Score = metric.plugin(cost, **dict(metric.given))
            else:
                rng = np.random.default_rng([setting.seed, zlib.crc32(case.digest.encode())])
                given = dict(metric.given) | ({"method": method} if takes_method(metric) else {})
                # A copy, so that a metric which works in place spoils nobody else's.
                score = metric.plugin(attribution.copy(), case, scorer, rng=rng, **given)
            curve = None if score.curve is None else {"x": list(score.curve[0]), "y": list(score.curve[1])}
            if not np.isfinite(score.value):
                raise ValueError(f"{metric} gave {score.value}")
            found = replace(entry, value=float(score.value), status="ok", reason="", curve=curve)
            entries.append(replace(found, null=tuple(map(float, score.null))))
        except Skipped as reason:
            entries.append(replace(entry, status="skipped", reason=str(reason)))
        except UserError:
            raise
        except Exception as error:
            if fail_fast:
                raise
            entries.append(replace(entry, status="failed", reason=_reason(error)))
            trace = traceback.format_exc()
    kept = [s for s in record.scores if s.key not in todo]
    record = replace(record, scores=sorted([*kept, *entries], key=lambda s: s.metric))
    store.write(record)
    return record, trace


def _map(seed: int, scorer: Scorer, image: Tensor, spec: Spec, case: Case) -> Tensor:
    return explain(scorer, image, method=spec, seed=seed, case=case)


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
        control=bool(plugin.traits["control"]),
        signed=bool(plugin.traits["signed"]),
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
    low, high = traits["range"]
    return ScoreEntry(
        metric=str(metric),
        value=None,
        status="failed",
        reason="not computed",
        better=traits["better"],
        low=float(low),
        high=float(high),
        family=metric.plugin.family,
        key=key,
        gate=traits["gate"],
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
