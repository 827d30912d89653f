"""The workers of a run: who is there, where each computes, and what it is at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from xaibench.errors import UserError
from xaibench.running.dask.client import Connection, about_workers, end_worker, other_version
from xaibench.running.dask.config import ClusterLost
from xaibench.running.dask.waiting import Todo
from xaibench.running.devices import own_gpu

if TYPE_CHECKING:
    from distributed import Future

TICK = 0.2  # s between two looks at the clock
GONE = 60.0  # s without any worker after which those of this machine are given up


@dataclass(eq=False)
class Hand:
    """A worker.

    Attributes:
        address, name: Dask's.
        nanny: whether something starts it again.
        device: where it computes.
        place: the workers that see the same GPUs have the same.
        memory: MB that it may take, 0 for no limit.
        has_job: whether it was sent the run's job.
        case_key: of the image that it has.
        todo, number, future: what it is at.
        sent, began: when that was sent to it, and when it began to compute.
        ending: since when it is about to be killed.
    """

    address: str
    name: Any
    nanny: bool
    device: str
    place: tuple[str, str]
    memory: float
    has_job: bool = False
    case_key: str = ""
    todo: Todo | None = None
    number: int = -1
    future: Future | None = None
    sent: float = 0.0
    began: float | None = None
    ending: float | None = None

    def take(self) -> Todo | None:
        """What it was at, which it then is no longer."""
        todo, self.todo = self.todo, None
        if self.future is not None:
            self.future.release()
        self.future, self.began = None, None
        return todo


class Hands:
    """All workers.

    Args:
        connection: to them.
        asked: the device, see :func:`~xaibench.running.dask.submit.distribute`.
        say: called with what may be of use to know.
    """

    def __init__(self, connection: Connection, asked: str, say: Callable[[str], None]) -> None:
        self.by_address: dict[str, Hand] = {}
        self._connection, self._client = connection, connection.client
        self._asked, self._say = asked, say
        self._alone_since: float | None = None

    @property
    def local(self) -> int | None:
        """How many processes of this machine there are to be; None for a cluster that was joined."""
        return self._connection.local

    @property
    def working(self) -> list[Hand]:
        """Those that have a cell."""
        return [hand for hand in self.by_address.values() if hand.todo is not None]

    @property
    def idle(self) -> list[Hand]:
        """Those that can be given one."""
        return [hand for hand in self.by_address.values() if hand.todo is None and hand.ending is None]

    def welcome_first(self) -> None:
        """Wait for workers, and take them on.

        Raises:
            UserError: if one has another version.
            ClusterLost: if the scheduler is gone.
        """
        waiting = False
        while not (known := self._known()):
            self.check_scheduler()
            if not waiting:
                self._say(f"The scheduler {self._connection.address} has no workers yet: waiting for the first.")
            waiting = True
            time.sleep(TICK)
        self._welcome(known, strict=True)

    def welcome(self, address: str) -> None:
        """Take on one more."""
        self._welcome({a: info for a, info in self._known().items() if a == address}, strict=False)

    def end(self, hand: Hand) -> None:
        """Kill a worker, which is given nothing more; another may take its place."""
        hand.ending = time.monotonic()
        end_worker(self._client, hand.address, hand.nanny)

    def check(self) -> None:
        """See whether there is anyone left.

        Raises:
            ClusterLost: if there is not, and nobody will come.
        """
        self.check_scheduler()
        now = time.monotonic()
        for hand in self.by_address.values():
            if hand.ending is not None and now - hand.ending > GONE:
                self.end(hand)  # once more
        if self.by_address:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
            if self.local is None:
                self._say(f"The scheduler {self._connection.address} has no worker left: waiting for another.")
        elif self.local is not None and now - self._alone_since > GONE:
            raise ClusterLost("All workers are gone, and none could be started again.", "Finished cells are kept.")

    def check_scheduler(self) -> None:
        """Raises ClusterLost if the scheduler is gone."""
        if self._client.status not in ("running", "newly-created"):
            raise ClusterLost(f"The scheduler {self._connection.address} is gone.", "Finished cells are kept.")

    def _known(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return found

    def _welcome(self, known: dict[str, Any], *, strict: bool) -> None:
        new = [address for address in known if address not in self.by_address]
        about: dict[str, dict[str, Any]] = {}
        if self.local is None:
            about = about_workers(self._client, new, gpus=self._asked in ("auto", "cuda"))
            for address in new:
                other = other_version(about[address], address) if address in about else ""
                if other and strict:
                    raise UserError(other, "Install the same version on both sides.")
                if other:
                    self._say(f"{other} It is given nothing to do.")
                if other or address not in about:
                    del known[address]
        if self._asked == "auto":
            self._asked = "cuda" if about and all(a["gpus"] for a in about.values()) else "cpu"
        for address in filter(known.__contains__, new):
            info, found = known[address], about.get(address)
            place = (found["host"], found["visible"]) if found else ("", "")
            taken = [hand.device for hand in self.by_address.values() if hand.place == place]
            device = own_gpu(self._asked, taken, found["gpus"] if found else torch.cuda.device_count())
            limit = (info.get("memory_limit") or 0) / 1e6
            self.by_address[address] = Hand(address, info.get("name"), bool(info.get("nanny")), device, place, limit)
