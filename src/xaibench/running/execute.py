"""Computing the cells of a run in this process, one case at a time; each cell is stored as soon as it is finished."""

import contextlib
from collections.abc import Iterator
from functools import partial

from torch import nn

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.method import scorer_about
from xaibench.running.events import Listener, Tally, watch_passes
from xaibench.running.plan import Kept, Setting
from xaibench.running.resolve import Run
from xaibench.running.sandbox.timeout import OutOfTime, time_limit, too_long
from xaibench.running.task import Context, Result, Task, compute
from xaibench.scorer import Scorer, target
from xaibench.scorer.batching import Engine


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
    tally, options, store = Tally(run, listener), run.options, run.store
    for case, tasks in unfinished(run, tally):
        scorer: Scorer | Skipped | None = None
        for task in tasks:
            scorer = scorer or make_scorer(run.model, run.setting, case, options.device)
            begin = watch_passes(scorer, partial(listener.step, task.name))
            context = Context(scorer, run.setting, options.fail_fast, store.write, begin)
            try:
                with time_limit(options.timeout):
                    attribution = None if task.kept is None else store.load_map(task.kept)
                    result = compute(task, attribution, context)
            except OutOfTime as end:
                why = too_long(options.timeout or 0.0)
                if options.fail_fast:
                    raise TimeoutError(why) from end
                result = Result(store.write(task.lost(run.setting, why)))
                scorer = None  # its caches may be half written
            tally.finished(task, result.record, result.trace)
    return tally.failures


def unfinished(run: Run, tally: Tally) -> Iterator[tuple[Case, Iterator[Task]]]:
    """Each case with its tasks; the tally is told of cells that are complete as they are passed over.

    Raises:
        UserError: if the run's folder holds records of another image of that name.
    """
    stored = Kept(run.store, run.plan)
    for case in run.cases:
        yield case, _tasks(case, run, stored, tally)


def _tasks(case: Case, run: Run, stored: Kept, tally: Tally) -> Iterator[Task]:
    stored.require_same_image(run.setting.dataset, case)
    for cell in run.plan.cells(case.digest):
        missing = None if run.options.force else stored.missing(cell)
        if missing == {}:
            tally.kept(f"{cell.spec} on {case.id}", stored.reason(cell))
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
