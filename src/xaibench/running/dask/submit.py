"""Submitting the cells of a run to Dask, and storing what comes back.

Dask decides which worker computes which cell and tries again when a worker dies. This module submits as many cells as
there are workers, and adds what Dask lacks: timeouts, and the blame for a worker's death to the cell that it computed.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xaibench.errors import plural
from xaibench.running.dask.client import ATTEMPTS, Connection, connected
from xaibench.running.dask.serialize import dumped
from xaibench.running.dask.work_queue import Image, WorkQueue
from xaibench.running.dask.worker import CellRequest, CellResult, Job, compute_cell
from xaibench.running.dask.workers import TICK, Workers
from xaibench.running.execute import unfinished
from xaibench.running.progress import Listener, Step, Tally
from xaibench.running.resolve import Run
from xaibench.running.sandbox.timeout import too_long
from xaibench.running.task import Task
from xaibench.running.threads import threads_here
from xaibench.scorer.batching import Engine
from xaibench.scorer.inference import engine_for

if TYPE_CHECKING:
    from distributed import Future

LOADING = 300.0  # s that a worker may take to load network and image, before the cell's own time begins
FETCHING = 10.0  # s that a finished result may take to arrive


def distribute(run: Run, listener: Listener) -> int:
    """Compute a run as :func:`~xaibench.running.execute.execute` does, on workers.

    Args:
        run: what to compute, and on which cluster; nothing is started or joined if all cells are complete.
        listener: follows it.

    Returns:
        The number of cells with a failure in them.

    Raises:
        UserError: if a method, metric or target refuses its input on the first case, or a worker has other versions.
        ClusterLost: if the scheduler or all workers are gone.
    """
    cluster, threads = run.options.cluster, threads_here()
    if cluster is None:
        raise ValueError("the run names no cluster")
    tally = Tally(len(run.cases) * len(run.methods), listener.report)
    tasks = WorkQueue(unfinished(run, tally))
    if tasks.next_image() is None:
        return tally.failures
    steps = listener.watch is not None
    job = Job(run.model, tuple(run.methods), run.setting, threads, cluster.workers, run.options.fail_fast, steps)
    content = dumped(job, "The network or a method")
    with connected(cluster, threads) as connection:
        local = connection.local
        listener.say(
            f"Workers of {connection.address}." if local is None else f"{plural(local, 'worker')} on this machine."
        )
        if connection.dashboard:
            listener.say(f"Dashboard: {connection.dashboard}")
        name = f"xaibench-{secrets.token_hex(6)}"
        workers = Workers(connection, name, run.options.device, listener.say)
        _Submission(run, listener, tally, tasks, connection, workers, name).compute(content)
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
    def __init__(
        self,
        run: Run,
        listener: Listener,
        tally: Tally,
        tasks: WorkQueue,
        connection: Connection,
        workers: Workers,
        name: str,
    ) -> None:
        self.run, self.listener, self.tally, self.tasks = run, listener, tally, tasks
        self.connection, self.client, self.workers, self.name = connection, connection.client, workers, name
        self.running: dict[int, Submitted] = {}
        self.engines: dict[tuple[int, ...], Engine] = {}
        self.numbers = itertools.count()
        self.inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def compute(self, job: bytes) -> None:
        """Compute every cell; ``job`` is the pickled :class:`~xaibench.running.dask.worker.Job`."""
        topics = (self.name, "all", "worker-restart-memory")
        for topic in topics:
            self.client.subscribe_topic(topic, lambda event, topic=topic: self.inbox.put((topic, event[1])))
        try:
            self.client.set_metadata([self.name, "job"], job)
            self.workers.wait_for_first()
            self._submit_more()
            while self.running or self.tasks.next_image() is not None:
                for topic, message in self._news():
                    self._heed(topic, message)
                self._look_after()
                self._submit_more()
        finally:
            with contextlib.suppress(Exception):
                self.client.cancel([cell.future for cell in self.running.values()])
                for topic in topics:
                    self.client.unsubscribe_topic(topic)
                self.client.set_metadata([self.name], None)
                self.workers.release()

    def _submit_more(self) -> None:
        """Submit cells until each worker has one."""
        while len(self.running) < len(self.workers.accepted):
            image = self.tasks.next_image()
            if image is None or (self._engine(image) is None and self._measuring(image)):
                return
            if not image.sent:
                self.client.set_metadata([self.name, image.key], dumped(image.case, "The image"))
                image.sent = True
            image.running += 1
            self._submit(image.waiting.popleft(), image)

    def _submit(self, task: Task, image: Image, attempts: int = 0, memory: float | None = None) -> None:
        number, kept = next(self.numbers), task.kept
        request = CellRequest(
            run=self.name,
            number=number,
            image=image.key,
            map_key=task.cell.key,
            kept=kept,
            attribution=None if kept is None else self.run.store.load_map(kept),
            missing=tuple(task.missing),
            engine=self._engine(image),
            first=task.case_id == self.run.cases.ids[0],
        )
        future = self.client.submit(
            compute_cell,
            request,
            key=f"{self.name}-{number}",
            pure=False,
            resources={self.name: 1},
            priority=-image.number,
        )
        self.running[number] = Submitted(task, image, future, attempts, memory=memory)
        future.add_done_callback(lambda future: self.inbox.put(("done", number)))

    def _engine(self, image: Image) -> Engine | None:
        """Micro-batch and memory format for images of this size; None if a worker has to measure them.

        They are the same on all workers, and measured here where this machine has the workers' kind of device.
        """
        devices = {worker.device for worker in self.workers.accepted.values()}
        if image.size not in self.engines and (devices == {"cpu"} or self.connection.local is not None):
            device = min(devices, default="cpu")
            model = self.run.model.to(device)
            self.engines[image.size] = engine_for(model, image.case.image.to(device))
        return self.engines.get(image.size)

    def _measuring(self, image: Image) -> bool:
        return any(cell.image.size == image.size for cell in self.running.values())

    def _news(self) -> Iterator[tuple[str, Any]]:
        """What has happened; nothing after a while."""
        with contextlib.suppress(queue.Empty):
            yield self.inbox.get(timeout=TICK)
            while True:
                yield self.inbox.get_nowait()

    def _heed(self, topic: str, message: Any) -> None:
        if topic == "done" and message in self.running:
            self._fetch(message, self.running[message])
        elif topic == self.name and message["number"] in self.running:
            self._follow(self.running[message["number"]], message)
        elif topic == "worker-restart-memory":
            for cell in self._cells_of(message["worker"]):
                cell.memory = self.workers.accepted[cell.worker].memory if cell.worker in self.workers.accepted else 0
        elif topic == "all" and message.get("action") == "add-worker":
            self.workers.accept()
            stuck = self.workers.unrunnable()
            for number, cell in list(self.running.items()):
                if cell.future.key in stuck:
                    self._submit_again(number, cell)
        elif topic == "all" and message.get("action") == "remove-worker":
            self.workers.remove(message["worker"])
            for cell in self._cells_of(message["worker"]):
                cell.worker, cell.deadline = "", None

    def _cells_of(self, worker: str) -> list[Submitted]:
        return [cell for cell in self.running.values() if cell.worker == worker]

    def _follow(self, cell: Submitted, message: dict[str, Any]) -> None:
        """A worker loads what a cell needs (part ""), begins with a part of it, or has computed some passes."""
        now, limit, part = time.monotonic(), self.run.options.timeout, message["part"]
        if not part:
            cell.attempts, cell.worker, cell.started, cell.deadline = (
                cell.attempts + 1,
                message["worker"],
                False,
                now + LOADING,
            )
            return
        if not cell.started:
            cell.started, cell.deadline = True, None if limit is None else now + limit
        if self.listener.watch is not None:
            self.listener.watch(Step(cell.task.name, part, message["passes"]))

    def _fetch(self, number: int, cell: Submitted) -> None:
        """Store the result of a cell."""
        from distributed import KilledWorker

        if cell.future.status == "cancelled":  # with the connection
            return
        try:
            error = cell.future.exception(timeout=FETCHING)
            result: CellResult | None = None if error is not None else cell.future.result(timeout=FETCHING)
        except TimeoutError:  # its worker died before it could send the result
            error, result = None, None
        if error is not None and not isinstance(error, KilledWorker):
            raise error
        if result is None:
            self._submit_again(number, cell)
            return
        if result.engine is not None:
            self.engines.setdefault(cell.image.size, result.engine)
        self.run.store.write(result.record, result.attribution)
        self._leave(number, cell)
        self.tally.finished(cell.task, result.record, result.trace)

    def _submit_again(self, number: int, cell: Submitted) -> None:
        """Give a cell whose worker died to another one, unless workers always die of it."""
        if cell.attempts < ATTEMPTS:
            cell.future.cancel()
            del self.running[number]
            self._submit(cell.task, cell.image, cell.attempts, cell.memory)
        elif cell.memory is not None:
            most = f" (a worker may take {cell.memory:.1f} GB)" if cell.memory else ""
            self._lose(number, cell, f"its worker ran out of memory at each of {cell.attempts} attempts{most}")
        else:
            how = "killed, out of memory, or by the method itself"
            self._lose(number, cell, f"its worker process was ended at each of {cell.attempts} attempts: {how}")

    def _look_after(self) -> None:
        """End what takes too long, and check that the cluster is still there."""
        self.workers.check()
        now = time.monotonic()
        for number, cell in list(self.running.items()):
            if cell.deadline is not None and now > cell.deadline:
                never = f"its worker did not begin in {LOADING:g} s"
                cell.future.cancel()  # first, so that Dask gives it to no other worker
                self.workers.refuse(cell.worker)
                self.workers.kill(cell.worker)
                self._lose(number, cell, too_long(self.run.options.timeout or 0.0) if cell.started else never)

    def _lose(self, number: int, cell: Submitted, why: str) -> None:
        """Record that a cell has failed, and not by an error of its own."""
        if self.run.options.fail_fast:
            raise RuntimeError(f"{cell.task.name}: {why}")
        record = self.run.store.write(cell.task.lost(self.run.setting, why))
        self._leave(number, cell)
        self.tally.finished(cell.task, record)

    def _leave(self, number: int, cell: Submitted) -> None:
        cell.future.release()
        del self.running[number]
        cell.image.running -= 1
        if not cell.image.running and not cell.image.waiting:  # the scheduler need not hold it longer
            self.client.set_metadata([self.name, cell.image.key], None)
