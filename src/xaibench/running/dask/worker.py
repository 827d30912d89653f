"""What runs in a worker: one cell at a time, with the network and the last case at hand."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.record.maps import as_stored
from xaibench.record.schema import Record
from xaibench.registry import Spec
from xaibench.running.dask.orders import Answer, Job, Order, read, unpacked
from xaibench.running.execute import make_scorer
from xaibench.running.plan import Cell, Setting
from xaibench.running.sandbox import memory
from xaibench.running.task import Context, compute_cell
from xaibench.running.threads import compute_with, keep_to_share
from xaibench.scorer import Scorer

SENDING = 0.05  # s in which a message is on its way
OFTEN = 0.5  # s between two messages about the same part of a cell


class InMemory:
    """Keeps one cell until it has travelled."""

    def __init__(self, key: str, attribution: np.ndarray | None) -> None:
        self.map = attribution
        self.new = False
        self._key = key

    def load_map(self, of: Record) -> np.ndarray | None:
        """As a store gives it."""
        return self.map if of.map_key == self._key else None

    def write(self, record: Record, attribution: np.ndarray | None = None) -> Record:
        """Only the map is remembered: the record is what :func:`compute_cell` returns."""
        if attribution is not None:
            self.map, self.new = as_stored(attribution), True
        return record


@dataclass
class Bench:
    """What this process has at hand.

    Attributes:
        run: whose job it is.
        job: what its cells share.
        methods, setting: the job's, unpacked.
        case_key, case, scorer: of the last image.
    """

    run: str
    job: Job
    methods: tuple[Spec, ...]
    setting: Setting
    case_key: str = ""
    case: Case | None = None
    scorer: Scorer | Skipped | None = None


_bench: Bench | None = None
_shared: set[tuple[int, int]] = set()  # the share of the cores that this process keeps to


async def forget() -> None:
    """Let go of the network and the last case; asynchronous, since Dask calls nothing else without waiting."""
    global _bench
    _bench = None


def work(order: Order) -> Answer:
    """Compute a cell, in a worker's thread."""
    from distributed import get_worker

    worker = get_worker()
    tell: Callable[[dict[str, Any]], None] = lambda said: worker.log_event(order.topic, {"order": order.number} | said)
    limit = getattr(worker.memory_manager, "memory_limit", None)
    memory.limit_to(limit / 1e6 if limit else None)
    return fulfil(order, tell)


def fulfil(order: Order, tell: Callable[[dict[str, Any]], None]) -> Answer:
    """Compute a cell.

    Args:
        order: which.
        tell: called with what is to be known of it while it is computed.
    """
    if order.share is not None and order.share not in _shared:
        keep_to_share(*order.share)
        _shared.add(order.share)
    compute_with(order.threads)
    try:
        bench = _bench_for(order)
        case, scorer = _at_hand(bench, order)
    except UserError as error:
        return Answer(refused=str(error))
    if scorer is None:
        scorer = bench.scorer = make_scorer(bench.job.model, bench.setting, case, order.device, order.engine)
    metrics = tuple(zip(bench.job.identities, bench.setting.metrics, strict=True))
    cell = Cell(bench.methods[order.method], order.key, metrics)
    todo = None if order.todo is None else {key: cell.scores[key] for key in order.todo}
    keeping = InMemory(order.key, order.attribution)
    begin = _telling(tell, scorer, order.steps)
    tell({"part": "map", "passes": 0})
    if order.timed:
        time.sleep(SENDING)  # the message is sent by another thread, which a method that hangs might never let run
    context = Context(case, scorer, bench.setting, keeping, bench.job.fail_fast, begin, order.first)
    record, trace = compute_cell(cell, order.kept, todo, context)
    engine = scorer.engine if isinstance(scorer, Scorer) else None
    return Answer(record, keeping.map if keeping.new else None, trace, engine)


def _bench_for(order: Order) -> Bench:
    global _bench
    if order.job is not None:
        _bench = None  # first, so that there are never two networks
        job: Job = read(order.job, "The network, a method or a metric")
        _bench = Bench(order.run, job, unpacked(job.methods), replace(job.setting, metrics=unpacked(job.metrics)))
    if _bench is None or _bench.run != order.run:
        raise UserError("Another run has taken this worker.", "Give each run a cluster of its own.")
    return _bench


def _at_hand(bench: Bench, order: Order) -> tuple[Case, Scorer | Skipped | None]:
    if order.case is not None:
        bench.case, bench.scorer = None, None
        bench.case, bench.case_key = read(order.case, "The image"), order.case_key
    if bench.case is None or bench.case_key != order.case_key:
        raise UserError("Another run has taken this worker.", "Give each run a cluster of its own.")
    return bench.case, bench.scorer


def _telling(tell: Callable[[dict[str, Any]], None], scorer: Scorer | Skipped, steps: bool) -> Callable[[str], None]:
    """Has the passes of a cell told, now and then; returns what is to be called as a part of it begins."""
    if isinstance(scorer, Skipped):
        return lambda part: None
    scorer.watch = None
    if not steps:
        return lambda part: None
    part, passes, told = "", 0, 0.0

    def say(always: bool = False) -> None:
        nonlocal told
        now = time.monotonic()
        if always or now - told >= OFTEN:
            told = now
            with contextlib.suppress(Exception):  # a message that is lost is no reason to lose the cell
                tell({"part": part, "passes": passes})

    def passed(pictures: int) -> None:
        nonlocal passes
        passes += pictures
        say()

    def begin(name: str) -> None:
        nonlocal part, passes
        part, passes = name, 0
        say()

    scorer.watch = passed
    return begin
