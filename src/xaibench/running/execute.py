"""Computing the cells of a run in this process, one case at a time; each cell is stored as soon as it is finished."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from torch import nn

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.method import scorer_about
from xaibench.running.plan import Kept, Plan, Setting, missing_scores
from xaibench.running.progress import Listener, Step, Tally, watch_passes
from xaibench.running.resolve import Run
from xaibench.running.sandbox.timeout import OutOfTime, time_limit, too_long
from xaibench.running.task import Context, Task, compute
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
    tally, timeout = Tally(len(run.cases) * len(run.methods), listener.report), run.options.timeout
    for case, tasks in unfinished(run, tally):
        scorer: Scorer | Skipped | None = None
        for task in tasks:
            scorer = scorer or make_scorer(run.model, run.setting, case, run.options.device)
            begin = _watch(task, scorer, listener)
            first = case.id == run.cases.ids[0]
            context = Context(case, scorer, run.setting, run.store, run.options.fail_fast, begin, first)
            try:
                with time_limit(timeout):
                    record, trace = compute(task, context)
            except OutOfTime as end:
                why = too_long(timeout or 0.0)
                if run.options.fail_fast:
                    raise TimeoutError(why) from end
                record, trace = run.store.write(task.lost(run.setting, why)), ""
                scorer = None  # its caches may be half written
            tally.finished(task, record, trace)
    return tally.failures


def unfinished(run: Run, tally: Tally) -> Iterator[tuple[Case, Iterator[Task]]]:
    """Each case with its tasks; the tally is told of cells that are complete as they are passed over.

    Raises:
        UserError: if the run's folder holds records of another image of that name.
    """
    plan = Plan(run.methods, run.setting)
    stored = Kept(run.store, plan)
    for case in run.cases:
        yield case, _tasks(case, run, plan, stored, tally)


def _tasks(case: Case, run: Run, plan: Plan, stored: Kept, tally: Tally) -> Iterator[Task]:
    cells, force = plan.cells(case.digest), run.options.force
    stored.require_same_image(plan.dataset, case)
    for cell in cells:
        if not force and stored.complete(cell):
            tally.kept(f"{cell.spec} on {case.id}")
            continue
        record = run.store.read(cell.key)
        missing = missing_scores(cell, record, force)
        kept = None if missing is None else record
        task = Task(cell, case.id, case.digest, kept, cell.scores if missing is None else missing)
        if kept is not None and not missing:
            tally.finished(task, kept, kept=True)
        else:
            yield task


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


def _watch(task: Task, scorer: Scorer | Skipped, listener: Listener) -> Callable[[str], None]:
    watch = listener.watch
    if isinstance(scorer, Skipped):
        return lambda part: None
    if watch is None:
        return watch_passes(scorer, None)
    return watch_passes(scorer, lambda part, passes: watch(Step(task.name, part, passes)))
