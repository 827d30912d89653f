"""Submitting the cells of a run to Dask, and storing what comes back.

Dask decides which worker computes which cell and tries again when a worker dies. This module submits as many cells as
there are workers, and adds what Dask lacks: timeouts, and the blame for a worker's death to the cell that it computed.
"""

import contextlib
import itertools
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from distributed import Future, KilledWorker

from xaibench.errors import plural
from xaibench.record.schema import Record
from xaibench.running.cluster import Cluster
from xaibench.running.dask.client import ATTEMPTS, connected
from xaibench.running.dask.serialize import dumped
from xaibench.running.dask.work_queue import Image, WorkQueue
from xaibench.running.dask.worker import CellRequest, Job, compute_cell, leave
from xaibench.running.dask.workers import Workers
from xaibench.running.events import Listener
from xaibench.running.execute import Tally, unfinished
from xaibench.running.resolve import Run
from xaibench.running.sandbox.timeout import too_long
from xaibench.running.task import Result, Task
from xaibench.running.threads import threads_here
from xaibench.scorer.batching import Engine
from xaibench.scorer.inference import engine_for

TICK = 0.2  # s between two looks at the clock
LOADING = 300.0  # s that a worker may take to load network and image, before the cell's own time begins
FETCHING = 10.0  # s that a finished result may take to arrive
Message = dict[str, Any]  # of a worker or of Dask


def distribute(run: Run, cluster: Cluster, listener: Listener) -> int:
    """Compute a run as :func:`~xaibench.running.execute.execute` does, on workers.

    Args:
        run: what to compute.
        cluster: where; nothing is started or joined if all cells are complete.
        listener: follows it.

    Returns:
        The number of cells with a failure in them.

    Raises:
        UserError: if a method, metric or target refuses its input on the first case, or a worker has other versions.
        ClusterLost: if the scheduler or all workers are gone.
    """
    threads, tally = threads_here(), Tally(run, listener)
    tasks = WorkQueue(unfinished(run, tally))
    if tasks.next_image() is None:
        return tally.failures
    job = Job(run.model, tuple(run.methods), run.setting, run.options.fail_fast, cluster.workers, threads)
    content = dumped(job, "The network or a method")
    with connected(cluster, threads) as client:
        count = cluster.workers
        here = f"{plural(count, 'worker')} on this machine" if count is not None else f"Workers of {cluster.address}"
        listener.say(f"{here}.")
        if client.dashboard_link:
            listener.say(f"Dashboard: {client.dashboard_link}")
        workers = Workers(client, cluster.local, run.options.device, listener.say)
        _Submission(run, listener, tally, tasks, workers).compute(content)
    return tally.failures


@dataclass(eq=False)
class Submitted:
    """A cell that Dask has.

    Attributes:
        task, image: what to compute.
        future: Dask's.
        attempts: how often a worker began with it.
        worker: the address of the worker that is at it, or "".
        started: whether that worker has loaded network and image.
        deadline: when it is ended.
        memory: GB that its worker may take, if one was ended for taking more; else None.
    """

    task: Task
    image: Image
    future: Future
    attempts: int = 0
    worker: str = ""
    started: bool = False
    deadline: float | None = None
    memory: float | None = None


class _Submission:
    def __init__(self, run: Run, listener: Listener, tally: Tally, tasks: WorkQueue, workers: Workers) -> None:
        self.run, self.listener, self.tally, self.tasks, self.workers = run, listener, tally, tasks, workers
        self.client, self.name, self.numbers = workers.client, workers.run, itertools.count()
        self.running: dict[object, Submitted] = {}  # by the key of its future
        self.engines: dict[tuple[int, ...], Engine] = {}
        self.news: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()  # calls that heed what has happened

    def compute(self, job: bytes) -> None:
        """Compute every cell; ``job`` is the pickled :class:`~xaibench.running.dask.worker.Job`."""
        topics = {self.name: self._follow, "worker-restart-memory": self._out_of_memory, "all": self._workers_changed}
        for topic, heed in topics.items():
            self.client.subscribe_topic(topic, lambda event, heed=heed: self.news.put(partial(heed, event[1])))
        try:
            self.client.set_metadata([self.name, "job"], job)
            while self.running or self.tasks.next_image() is not None:
                self.workers.check()
                self._submit_more()
                with contextlib.suppress(queue.Empty):
                    self.news.get(timeout=TICK)()
                self._end_overdue()
        finally:
            with contextlib.suppress(Exception):
                self.client.cancel([cell.future for cell in self.running.values()])
                for topic in topics:
                    self.client.unsubscribe_topic(topic)
                self.client.set_metadata([self.name], None)
                self.client.run(leave, self.name, workers=list(self.workers.accepted), wait=False)

    def _submit_more(self) -> None:
        """Submit cells until each worker has one."""
        while len(self.running) < len(self.workers.accepted):
            image = self.tasks.next_image()
            if image is None:
                return
            engine = self._engine(image)
            if engine is None and any(cell.image.size == image.size for cell in self.running.values()):
                return  # a worker is measuring it
            if not image.sent:
                self.client.set_metadata([self.name, image.number], dumped(image.case, "The image"))
                image.sent = True
            task = image.waiting.popleft()
            image.running += 1
            request = CellRequest(
                run=self.name,
                image=image.number,
                first=task.first,
                map_key=task.cell.key,
                kept=task.kept,
                attribution=None if task.kept is None else self.run.store.load_map(task.kept),
                missing=tuple(task.missing),
                engine=engine,
            )
            key, resources = f"{self.name}-{next(self.numbers)}", {self.name: 1}
            future = self.client.submit(compute_cell, request, key=key, resources=resources, priority=-image.number)
            self.running[key] = Submitted(task, image, future)
            future.add_done_callback(self._done)

    def _engine(self, image: Image) -> Engine | None:
        """Micro-batch and memory format for images of this size; None if a worker has to measure them.

        They are the same on all workers, and measured here where this machine has the workers' kind of device.
        """
        devices = {worker.device for worker in self.workers.accepted.values()}
        if image.size not in self.engines and (devices == {"cpu"} or self.workers.local):
            device = min(devices)
            self.engines[image.size] = engine_for(self.run.model.to(device), image.case.image.to(device))
        return self.engines.get(image.size)

    def _follow(self, message: Message) -> None:
        """A worker loads what a cell needs (part ""), begins with a part of it, or has computed some passes."""
        cell = self.running.get(message["key"])
        if cell is None:
            return
        now, limit, part = time.monotonic(), self.run.options.timeout, message["part"]
        if not part:
            cell.attempts += 1
            cell.worker, cell.started, cell.deadline = message["worker"], False, now + LOADING
            return
        if not cell.started:
            cell.started, cell.deadline = True, None if limit is None else now + limit
        self.listener.step(cell.task.name, part, message["passes"])

    def _out_of_memory(self, message: Message) -> None:
        """A nanny ends its worker."""
        worker = self.workers.accepted.get(message["worker"])
        for cell in self._cells_of(message["worker"]):
            cell.memory = worker.memory if worker is not None else 0

    def _workers_changed(self, message: Message) -> None:
        if message.get("action") == "add-worker":
            self.workers.accept()
        elif message.get("action") == "remove-worker":
            self.workers.accepted.pop(message["worker"], None)
            for cell in self._cells_of(message["worker"]):
                cell.worker, cell.deadline = "", None

    def _cells_of(self, worker: str) -> list[Submitted]:
        return [cell for cell in self.running.values() if cell.worker == worker]

    def _done(self, future: Future) -> None:
        """Called by Dask in a thread of its own."""
        self.news.put(partial(self._fetch, future))

    def _fetch(self, future: Future) -> None:
        """Store the result of a cell."""
        cell = self.running.get(future.key)
        if cell is None or future.status == "cancelled":  # with the connection
            return
        try:
            error = future.exception(timeout=FETCHING)
            answer: tuple[Result, Engine | None] | None = future.result(timeout=FETCHING) if error is None else None
        except TimeoutError:  # its worker died before it could send the result: Dask computes it again
            future.add_done_callback(self._done)
            return
        if isinstance(error, KilledWorker):
            if cell.attempts < ATTEMPTS:  # a cluster may give up earlier
                future.retry()
                future.add_done_callback(self._done)
            else:
                self._lose(cell, _why_killed(cell))
        elif answer is None:
            raise error
        else:
            result, engine = answer
            if engine is not None:
                self.engines.setdefault(cell.image.size, engine)
            self._leave(cell, self.run.store.write(result.record, result.attribution), result.trace)

    def _end_overdue(self) -> None:
        """End what takes too long."""
        now = time.monotonic()
        for cell in list(self.running.values()):
            if cell.deadline is not None and now > cell.deadline:
                never = f"its worker did not begin in {LOADING:g} s"
                cell.future.cancel()  # first, so that Dask gives it to no other worker
                self.workers.end(cell.worker)
                self._lose(cell, too_long(self.run.options.timeout or 0.0) if cell.started else never)

    def _lose(self, cell: Submitted, why: str) -> None:
        """Record that a cell has failed, and not by an error of its own."""
        if self.run.options.fail_fast:
            raise RuntimeError(f"{cell.task.name}: {why}")
        self._leave(cell, self.run.store.write(cell.task.lost(why)))

    def _leave(self, cell: Submitted, record: Record, trace: str = "") -> None:
        cell.future.release()
        del self.running[cell.future.key]
        cell.image.running -= 1
        if not cell.image.running and not cell.image.waiting:  # the scheduler need not hold it longer
            self.client.set_metadata([self.name, cell.image.number], None)
        self.tally.finished(cell.task, record, trace)


def _why_killed(cell: Submitted) -> str:
    if cell.memory is None:
        how = "killed, out of memory, or by the method itself"
        return f"its worker process was ended at each of {cell.attempts} attempts: {how}"
    most = f" (a worker may take {cell.memory:.1f} GB)" if cell.memory else ""
    return f"its worker ran out of memory at each of {cell.attempts} attempts{most}"
