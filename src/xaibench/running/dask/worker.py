"""Computing one cell at a time in a worker process, with network and image at hand from the cell before."""

import contextlib
import gc
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Worker, get_worker
from distributed.utils import sync
from torch import nn

from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.record.schema import Record
from xaibench.registry import Spec
from xaibench.running.dask.serialize import loaded
from xaibench.running.execute import make_scorer
from xaibench.running.plan import Plan, Setting
from xaibench.running.sandbox import memory
from xaibench.running.task import Computation, Result, Task
from xaibench.running.threads import Threads, compute_with, keep_to_share
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine

OFTEN = 0.5  # s between two messages about the passes of a cell


@dataclass(frozen=True)
class Job:
    """What all cells of a run share; each worker loads it once.

    Attributes:
        model: in evaluation mode.
        methods: the run's, in order.
        setting: the rest of what decides a cell.
        fail_fast: raise the first failure of a cell instead of recording it.
        local: the number of workers among which this machine's cores are shared; None to use all.
        threads: what each worker computes with.
    """

    model: nn.Module
    methods: tuple[Spec, ...]
    setting: Setting
    fail_fast: bool
    local: int | None
    threads: Threads


@dataclass(frozen=True)
class CellRequest:
    """One cell to compute.

    Attributes:
        run: names the job.
        image: its number among the run's.
        first: whether the image is the run's first.
        map_key: of the cell.
        kept: the stored record, if its map need not be computed again.
        attribution: (H, W) float32, the stored map.
        missing: keys of the scores to compute.
        engine: micro-batch and memory format, the same on all workers; None to measure.
    """

    run: str
    image: int
    first: bool
    map_key: str
    kept: Record | None
    attribution: np.ndarray | None
    missing: tuple[str, ...]
    engine: Engine | None


@dataclass
class Session:
    """What this process has at hand for a run.

    Attributes:
        job: what all cells share.
        device: where to compute.
        image, case, scorer: of the last cell.
    """

    job: Job
    device: str
    image: int | None = None
    case: Case | None = None
    scorer: Scorer | Skipped | None = None


_sessions: dict[str, Session] = {}


async def leave(run: str) -> None:
    """Free network and image; asynchronous, since Dask runs nothing else without waiting for it."""
    _sessions.pop(run, None)


def compute_cell(request: CellRequest) -> tuple[Result, Engine | None]:
    """Compute a cell, in a worker's thread.

    Returns:
        What was computed, to be stored by the run, and the micro-batch and memory format that were used.

    Raises:
        UserError: if what was sent cannot be read here, or a method refuses its input on the first image.
    """
    worker = get_worker()
    message = {"key": worker.get_current_task(), "worker": worker.address}
    last = 0.0

    def report(part: str, passes: int) -> None:
        nonlocal last
        if time.monotonic() - last >= OFTEN:
            last = time.monotonic()
            with contextlib.suppress(Exception):  # a lost message is no reason to lose the cell
                worker.log_event(request.run, message | {"part": part, "passes": passes})

    _scheduler(worker, "log_event", topic=request.run, msg=message | {"part": "", "passes": 0})
    session = _session(worker, request.run)
    job, case = session.job, _load_case(worker, session, request)
    limit = getattr(worker.memory_manager, "memory_limit", None)
    memory.limit_to(limit / 1e6 if limit else None)
    compute_with(job.threads)
    if session.scorer is None:
        session.scorer = make_scorer(job.model, job.setting, case, session.device, request.engine)
    scorer = session.scorer
    cells = Plan(job.methods, job.setting).cells(case.digest)
    cell = next(cell for cell in cells if cell.key == request.map_key)
    task = Task(cell, case, request.first, request.kept, {key: cell.scores[key] for key in request.missing})
    # The scheduler has this message before the method begins, which may never let another thread run.
    _scheduler(worker, "log_event", topic=request.run, msg=message | {"part": "map", "passes": 0})
    computation = Computation(task, scorer, job.fail_fast, lambda record, attribution: record, report)
    return computation.compute(request.attribution), scorer.engine if isinstance(scorer, Scorer) else None


def _session(worker: Worker, run: str) -> Session:
    if run not in _sessions:
        job: Job = loaded(_sent(worker, run, "job"), "The network, a method or a metric")
        if job.local is not None:
            keep_to_share(worker.name if isinstance(worker.name, int) else 0, job.local)
        gc.freeze()  # what is there already is left out of the collections before each measurement of memory
        _sessions[run] = Session(job, _sent(worker, run, "devices")[worker.address])
    return _sessions[run]


def _load_case(worker: Worker, session: Session, request: CellRequest) -> Case:
    if session.case is None or session.image != request.image:
        session.case = session.scorer = None  # first, so that there are never two of them
        session.case, session.image = loaded(_sent(worker, request.run, request.image), "The image"), request.image
    return session.case


def _sent(worker: Worker, run: str, name: str | int) -> Any:
    """What the run has put into the scheduler's metadata under this name."""
    content = _scheduler(worker, "get_metadata", keys=[run, name], default=None)
    if content is None:
        raise UserError(f"The scheduler {worker.scheduler.address} has lost what this run has sent to it.")
    return content


def _scheduler(worker: Worker, operation: str, **arguments: Any) -> Any:
    """Call an operation of the scheduler, and wait for its answer."""
    return sync(worker.loop, getattr(worker.scheduler, operation), **arguments)
