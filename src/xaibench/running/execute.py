"""Computing the cells of a run in this process, one case at a time; each cell is stored as soon as it is finished."""

import contextlib
import gc
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from operator import attrgetter

from torch import nn

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.method import scorer_about
from xaibench.record.schema import Record
from xaibench.running.events import Event, Listener
from xaibench.running.plan import Kept, Setting
from xaibench.running.resolve import Run
from xaibench.running.sandbox.timeout import OutOfTime, time_limit, too_long
from xaibench.running.task import Computation, Result, Task
from xaibench.scorer import Scorer, target
from xaibench.scorer.batching import Engine


class Tally:
    """Counts the finished cells of a run and those with a failure in them.

    Args:
        run: whose cells.
        listener: told of each.
    """

    def __init__(self, run: Run, listener: Listener) -> None:
        self.total, self.done, self.failures = len(run.cases) * len(run.methods), 0, 0
        self._report = listener.report

    def finished(self, task: Task, record: Record, trace: str = "") -> None:
        """Count a cell by its record."""
        failed = [record.reason] if record.status == "failed" else []
        failed += [s.reason for s in record.scores if s.status == "failed" and s.key in task.cell.scores]
        self.failures += bool(failed)
        self.count(task.name, "failed" if failed else record.status, failed[0] if failed else record.reason, trace)

    def count(self, cell: str, status: str, reason: str, trace: str = "") -> None:
        """Count a cell, see :class:`Event`."""
        self.done += 1
        self._report(Event(self.done, self.total, cell, status, reason, trace))


def execute(run: Run, listener: Listener) -> int:
    """Compute and store what is missing of a run.

    Args:
        run: what to compute, and how.
        listener: follows it.

    Returns:
        The number of cells with a failure in them.

    Raises:
        UserError: if a method, metric or target refuses its input on the first case.
    """
    tally = Tally(run, listener)
    gc.freeze()  # each measurement of memory collects garbage, which need not be looked for in what is there already
    try:
        _compute_all(run, listener, tally)
    finally:
        gc.unfreeze()
    return tally.failures


def _compute_all(run: Run, listener: Listener, tally: Tally) -> None:
    options, store = run.options, run.store
    for case, tasks in groupby(unfinished(run, tally), attrgetter("case")):
        scorer: Scorer | Skipped | None = None
        for task in tasks:
            scorer = scorer or make_scorer(run.model, run.setting, case, options.device)
            computation = Computation(task, scorer, options.fail_fast, store.write, partial(listener.step, task.name))
            try:
                with time_limit(options.timeout):
                    attribution = None if task.kept is None else store.load_map(task.kept)
                    result = computation.compute(attribution)
            except OutOfTime as end:
                why = too_long(options.timeout or 0.0)
                if options.fail_fast:
                    raise TimeoutError(why) from end
                result = Result(store.write(task.lost(why)))
                scorer = None  # its caches may be half written
            tally.finished(task, result.record, result.trace)


def unfinished(run: Run, tally: Tally) -> Iterator[Task]:
    """The tasks of each case; the tally is told of cells that are complete as they are passed over.

    Raises:
        UserError: if the run's folder holds records of another image of that name.
    """
    stored = Kept(run.store, run.plan)
    for case in run.cases:
        stored.require_same_image(run.setting.dataset, case)
        for cell in run.plan.cells(case.digest):
            missing = None if run.options.force else stored.missing(cell)
            if missing == {}:
                tally.count(f"{cell.spec} on {case.id}", "kept", stored.reason(cell))
                continue
            kept = None if missing is None else run.store.read(cell.key)
            yield Task(cell, case, case.id == run.cases.ids[0], kept, missing if kept and missing else cell.scores)


def make_scorer(
    model: nn.Module, setting: Setting, case: Case, device: str, engine: Engine | None = None
) -> Scorer | Skipped:
    """The scorer that the cells of a case share, or the reason why there is none.

    Args:
        model: the network.
        setting: target, and metrics that ask about further targets.
        case: the image.
        device: where to compute.
        engine: micro-batch and memory format; measured if None.
    """
    try:
        scorer = Scorer(model, target(setting.target, model, case), device=device, engine=engine)
        # The first scored pass measures micro-batch, memory format and receptive field, which no method is charged for.
        scorer.local_forward(case.image)
        # Scorers of further targets share the passes from the first map on.
        for other in sorted({t for metric in setting.metrics for t in metric.plugin.traits.targets}):
            with contextlib.suppress(Skipped):
                scorer_about(scorer, case, other)
        return scorer
    except Skipped as reason:
        return reason
