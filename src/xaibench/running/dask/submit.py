"""Computing the cells of a run on workers: each has one cell at a time, and keeps to an image as long as it can.

Which worker has which cell is decided here and not by Dask, so that a worker that dies takes the blame to one cell
alone, and the network and each image are sent to a worker once.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from xaibench.data.cases import Cases
from xaibench.errors import UserError
from xaibench.record.store import Store
from xaibench.registry import Spec
from xaibench.running.dask.client import Connection, connected
from xaibench.running.dask.config import Cluster
from xaibench.running.dask.orders import Answer, Job, Order, dumped, packed
from xaibench.running.dask.waiting import Image, Todo, Waiting
from xaibench.running.dask.worker import forget, work
from xaibench.running.dask.workers import TICK, Hand, Hands
from xaibench.running.execute import Report, Step, Tally, Watch
from xaibench.running.plan import Plan, Setting
from xaibench.running.sandbox.timeout import too_long
from xaibench.running.task import lost_cell
from xaibench.running.threads import Threads
from xaibench.scorer.batching import Engine
from xaibench.scorer.inference import engine_for

if TYPE_CHECKING:
    from distributed import Future

ATTEMPTS = 3  # at a cell whose worker dies
LOADING = 300.0  # s that a worker may take to load what it is sent, before a cell's own time begins
FETCHING = 10.0  # s that a finished result may take to arrive


def distribute(
    cluster: Cluster,
    cases: Cases,
    methods: Sequence[Spec],
    model: nn.Module,
    setting: Setting,
    store: Store,
    report: Report,
    *,
    threads: Threads,
    watch: Watch | None = None,
    device: str = "cpu",
    force: bool = False,
    fail_fast: bool = False,
    timeout: float | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """As :func:`~xaibench.running.execute.execute`, on workers; what comes back is kept here, cell by cell.

    Args:
        cluster: where; nothing is started or joined if all is kept.
        cases, methods, model, setting, store, report, watch, force, fail_fast: as there.
        threads: what every worker computes with.
        device: ``"cpu"``, ``"cuda"`` for a GPU for each worker, ``"cuda:N"``, or ``"auto"`` for GPUs where every worker
            has one.
        timeout: seconds after which a cell has failed and its worker is killed.
        say: called with what may be of use to know.

    Returns:
        The number of cells with a failure in them.

    Raises:
        UserError: if a method or target is asked for something that does not exist, or a worker has other versions.
        ClusterLost: if the scheduler or all workers are gone.
    """
    plan, tally = Plan(methods, setting), Tally(len(cases) * len(methods), report)
    identities = tuple(identity for identity, _ in plan.metrics)
    job = Job(model, packed(methods), replace(setting, metrics=()), packed(setting.metrics), identities, fail_fast)
    waiting = Waiting(cases, plan, store, tally, force=force)
    run = _Run(waiting, model, setting, store, tally, threads)
    run.watch, run.asked, run.fail_fast, run.timeout, run.say = watch, device, fail_fast, timeout, say
    run.job, run.first = dumped(job, "The network or a method"), cases.ids[0]
    if not waiting.more():
        return tally.failures
    with connected(cluster, threads) as connection:
        here = connection.local
        if here is None:
            say(f"Workers of {connection.address}.")
        else:
            say(f"{here} worker{'s' * (here != 1)} on this machine.")
        if connection.dashboard:
            say(f"Dashboard: {connection.dashboard}")
        return run.all(connection)


class _Run:
    def __init__(
        self,
        waiting: Waiting,
        model: nn.Module,
        setting: Setting,
        store: Store,
        tally: Tally,
        threads: Threads,
    ) -> None:
        self.waiting, self.model, self.setting = waiting, model, setting
        self.store, self.tally, self.threads = store, tally, threads
        self.watch: Watch | None = None
        self.asked, self.fail_fast = "cpu", False
        self.timeout: float | None = None
        self.say: Callable[[str], None] = lambda text: None
        self.name = secrets.token_hex(6)
        self.topic = f"xaibench-{self.name}"
        self.inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.engines: dict[tuple[int, ...], Engine] = {}
        self.numbers = itertools.count()
        self.job, self.first = b"", ""

    def all(self, connection: Connection) -> int:
        """Compute every cell; returns the number of those with a failure."""
        self.client, self.hands = connection.client, Hands(connection, self.asked, self.say)
        topics = (self.topic, "all", "worker-restart-memory")
        for topic in topics:
            self.client.subscribe_topic(topic, lambda event, topic=topic: self.inbox.put((topic, event[1])))
        try:
            self.hands.welcome_first()
            while True:
                self._hand_out()
                if not self.waiting and not self.hands.working:
                    return self.tally.failures
                self._look_after()
                for what, about in self._news():
                    self._heed(what, about)
        finally:
            self._leave(topics)

    def _leave(self, topics: Sequence[str]) -> None:
        with contextlib.suppress(Exception):
            for hand in self.hands.working:
                if hand.future is not None:
                    hand.future.cancel()
            for topic in topics:
                self.client.unsubscribe_topic(topic)
            if self.hands.local is None and self.client.status == "running":
                self.client.run(forget, workers=[hand.address for hand in self.hands.idle], wait=False)

    def _bury(self, address: str, expected: bool) -> None:
        """A worker is gone: what it was at is given to another, unless workers always die of it."""
        hand = self.hands.by_address.pop(address, None)
        if hand is None:
            return
        todo = hand.take()
        if todo is None:
            return
        todo.deaths += not expected
        if todo.deaths < ATTEMPTS:
            self.waiting.put_back(todo)
        elif todo.memory:
            most = f" (a worker may take {hand.memory / 1000:.1f} GB)" if hand.memory else ""
            self._lose(todo, f"its worker ran out of memory at each of {ATTEMPTS} attempts{most}")
        else:
            how = "killed, out of memory, or by the method itself"
            self._lose(todo, f"its worker process was ended at each of {ATTEMPTS} attempts: {how}")

    def _hand_out(self) -> None:
        for hand in self.hands.idle:
            held = {other.case_key for other in self.hands.working}
            image = self.waiting.choose(hand.case_key, held, partial(self._ready, hand))
            if image is not None:
                self._send(hand, self.waiting.take(image))

    def _engine(self, image: Image, hand: Hand) -> Engine | None:
        """The way through the network, which all workers are to take: found out here, where there is such a device."""
        here = hand.device == "cpu" or self.hands.local is not None
        if image.size not in self.engines and here:
            model = self.model.to(hand.device)
            self.engines[image.size] = engine_for(model, image.case.image.to(hand.device))
        return self.engines.get(image.size)

    def _ready(self, hand: Hand, image: Image) -> bool:
        """Whether the engine for its size is known, or no worker is about to find it out."""
        asked = (h.todo is not None and h.todo.image.size == image.size for h in self.hands.working)
        return self._engine(image, hand) is not None or not any(asked)

    def _send(self, hand: Hand, todo: Todo) -> None:
        case, number = todo.image.case, next(self.numbers)
        new = hand.case_key != todo.image.key
        if new and todo.image.content is None:
            _ = case.digest  # goes with it
            todo.image.content = dumped(case, "The image")
        rank = hand.name if isinstance(hand.name, int) else 0
        order = Order(
            number=number,
            topic=self.topic,
            run=self.name,
            job=None if hand.has_job else self.job,
            case_key=todo.image.key,
            case=todo.image.content if new else None,
            method=todo.method,
            key=todo.cell.key,
            kept=todo.kept,
            attribution=None if todo.todo is None or todo.kept is None else self.store.load_map(todo.kept),
            todo=None if todo.todo is None else tuple(todo.todo),
            device=hand.device,
            threads=self.threads,
            share=None if self.hands.local is None else (rank, self.hands.local),
            engine=self._engine(todo.image, hand),
            first=case.id == self.first,
            steps=self.watch is not None,
            timed=self.timeout is not None,
        )
        hand.todo, hand.number, hand.sent, hand.began = todo, number, time.monotonic(), None
        hand.has_job, hand.case_key = True, todo.image.key
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that what is sent is large
            hand.future = self.client.submit(
                work, order, workers=[hand.address], pure=False, key=f"{self.topic}-{number}"
            )
        hand.future.add_done_callback(lambda future, address=hand.address: self.inbox.put(("done", (address, number))))

    def _lose(self, todo: Todo, reason: str) -> None:
        """A cell has failed, and not by an error of its own."""
        if self.fail_fast:
            raise RuntimeError(f"{todo.cell.spec} on {todo.image.case.id}: {reason}")
        record = lost_cell(todo.cell, todo.kept, todo.todo, todo.image.case, self.setting, reason)
        self.store.write(record)
        self.tally.finished(todo.cell, todo.image.case.id, record)

    # What happens

    def _news(self) -> Iterator[tuple[str, Any]]:
        """What has happened, or nothing after a while."""
        with contextlib.suppress(queue.Empty):
            yield self.inbox.get(timeout=TICK)
            while True:
                yield self.inbox.get_nowait()

    def _heed(self, what: str, about: Any) -> None:
        if what == "done":
            address, number = about
            hand = self.hands.by_address.get(address)
            if hand is not None and hand.number == number and hand.future is not None:
                self._finish(hand, hand.future)
        elif what == self.topic:
            hand = next((h for h in self.hands.working if h.number == about["order"]), None)
            if hand is not None and hand.todo is not None:
                hand.began = hand.began or time.monotonic()
                if self.watch is not None:
                    cell = f"{hand.todo.cell.spec} on {hand.todo.image.case.id}"
                    self.watch(Step(cell, about["part"], about["passes"]))
        elif what == "worker-restart-memory":
            hand = self.hands.by_address.get(about["worker"])
            if hand is not None and hand.todo is not None:
                hand.todo.memory = True
        elif about.get("action") == "add-worker":
            self.hands.welcome(about["worker"])
        elif about.get("action") == "remove-worker":
            self._bury(about["worker"], bool(about.get("expected")))

    def _finish(self, hand: Hand, future: Future) -> None:
        from distributed import KilledWorker

        if future.status == "cancelled":
            self.hands.check_scheduler()
            return  # its worker is about to be buried
        try:
            error = future.exception(timeout=FETCHING)
            answer: Answer | None = None if error is not None else future.result(timeout=FETCHING)
        except TimeoutError:  # the worker died with the result: that will be told
            self.hands.check_scheduler()
            return
        if isinstance(error, KilledWorker):
            self._bury(hand.address, expected=False)
            return
        todo = hand.take()
        if error is not None:
            raise error
        if todo is None or answer is None:
            return
        if answer.refused or answer.record is None:
            raise UserError(answer.refused or "A worker came back with nothing.")
        if answer.engine is not None:
            self.engines.setdefault(todo.image.size, answer.engine)
        self.store.write(answer.record, answer.attribution)
        self.tally.finished(todo.cell, todo.image.case.id, answer.record, answer.trace)

    def _look_after(self) -> None:
        """End what takes too long, and see whether the cluster is still there."""
        self.hands.check()
        now = time.monotonic()
        for hand in self.hands.working:
            stuck = hand.began is None and now - hand.sent > LOADING
            late = self.timeout is not None and hand.began is not None and now - hand.began > self.timeout
            if (stuck or late) and (todo := hand.take()) is not None:
                self.hands.end(hand)
                never = f"its worker did not begin in {LOADING:g} s"
                self._lose(todo, too_long(self.timeout or 0.0) if late else never)
