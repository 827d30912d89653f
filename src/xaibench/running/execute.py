"""Computing the cells of a run on this machine, one case at a time, each kept as soon as it is finished."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from xaibench.data.case import Case
from xaibench.data.cases import Cases
from xaibench.errors import Skipped
from xaibench.metrics.method import scorer_about
from xaibench.record.schema import Record
from xaibench.record.store import Store
from xaibench.registry import Spec
from xaibench.running.plan import Cell, Kept, Plan, Setting, missing_scores
from xaibench.running.sandbox.timeout import OutOfTime, time_limit, too_long
from xaibench.running.task import Context, compute_cell, lost_cell
from xaibench.scorer import Scorer, target
from xaibench.scorer.batching import Engine

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
    force: bool = False,
    fail_fast: bool = False,
    timeout: float | None = None,
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
        force: compute also what is there.
        fail_fast: end with the first failure instead of recording it and going on.
        timeout: seconds after which a cell has failed, see :func:`~xaibench.running.sandbox.timeout.time_limit`.

    Returns:
        The number of cells with a failure in them.

    Raises:
        UserError: if a method or target is asked for something that does not exist.
    """
    tally = Tally(len(cases) * len(methods), report)
    plan = Plan(methods, setting)
    finished = Kept(store, plan)
    for number, case in enumerate(cases):
        scorer: Scorer | Skipped | None = None
        for _, cell, kept, todo in unfinished(case, plan, finished, store, tally, force=force):
            scorer = scorer or make_scorer(model, setting, case, device)
            begin = _watched(watch, f"{cell.spec} on {case.id}", scorer)
            context = Context(case, scorer, setting, store, fail_fast, begin, first=number == 0)
            try:
                with time_limit(timeout):
                    record, trace = compute_cell(cell, kept, todo, context)
            except OutOfTime as end:
                reason = too_long(timeout or 0.0)
                if fail_fast:
                    raise TimeoutError(reason) from end
                record, trace = lost_cell(cell, kept, todo, case, setting, reason), ""
                store.write(record)
                scorer = None  # which may have been left in the middle of something
            tally.finished(cell, case.id, record, trace, kept=record is kept)
    return tally.failures


def unfinished(
    case: Case, plan: Plan, finished: Kept, store: Store, tally: Tally, *, force: bool
) -> Iterator[tuple[int, Cell, Record | None, dict[str, Spec] | None]]:
    """The cells of an image that are to be computed: place in the plan, cell, what is kept of it, scores to do.

    The tally is told of the others as they are passed over.

    Raises:
        UserError: if what is kept is of another image of that name.
    """
    cells = plan.cells(case.digest)
    finished.require_same_image(plan.dataset, case)
    for place, cell in enumerate(cells):
        if not force and finished.complete(cell):
            tally.kept(cell, case.id)
            continue
        kept = store.read(cell.key)
        todo = missing_scores(cell, kept, force)
        if kept is not None and todo == {}:
            tally.finished(cell, case.id, kept, kept=True)
        else:
            yield place, cell, kept, todo


class Tally:
    """Tells of each cell that is finished, and counts those with a failure in them.

    Args:
        total: all cells.
        report: called after each cell.
    """

    def __init__(self, total: int, report: Report) -> None:
        self.total, self.done, self.failures = total, 0, 0
        self._report = report

    def kept(self, cell: Cell, case: str) -> None:
        """A cell was there, complete."""
        self.done += 1
        self._report(Event(self.done, self.total, f"{cell.spec} on {case}", "kept"))

    def finished(self, cell: Cell, case: str, record: Record, trace: str = "", *, kept: bool = False) -> None:
        """A cell is there; ``kept`` if it was before."""
        failed = [record.reason] if record.status == "failed" else []
        failed += [s.reason for s in record.scores if s.status == "failed" and s.key in cell.scores]
        self.failures += bool(failed)
        self.done += 1
        status = "failed" if failed else "kept" if kept else record.status
        reason = failed[0] if failed else record.reason
        self._report(Event(self.done, self.total, f"{cell.spec} on {case}", status, reason, trace))


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


def make_scorer(
    model: nn.Module,
    setting: Setting,
    case: Case,
    device: str,
    engine: Engine | None = None,
) -> Scorer | Skipped:
    """What the cells of a case see of the network, or why they cannot; see :class:`~xaibench.scorer.Scorer`."""
    try:
        scorer = Scorer(model, target(setting.target, model, case), device=device, engine=engine)
        # What the first scored pass has to find out (micro-batch, memory format, how far the network sees) is not to be
        # charged to one method.
        scorer.local_forward(case.image)
        # Who will be asked about, too, shares the passes from the first map on.
        for other in sorted({t for metric in setting.metrics for t in metric.plugin.traits.targets}):
            with contextlib.suppress(Skipped):
                scorer_about(scorer, case, other)
        return scorer
    except Skipped as reason:
        return reason
