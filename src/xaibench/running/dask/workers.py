"""The workers that may compute cells of a run: those with the same versions, each with a device."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import psutil

from xaibench.errors import UserError
from xaibench.running.devices import own_gpu, visible_gpus

if TYPE_CHECKING:
    import distributed
    from distributed import Client

ANSWERING = 30.0  # s that a worker may take to answer
GONE = 60.0  # s without any worker after which those of this machine are given up
LOOK = 5.0  # s between two looks for paused workers
PACKAGES = ("xaibench", "torch")  # whose versions decide numbers


class ClusterLost(UserError):
    """The cluster is gone in the middle of a run; finished cells are kept."""


@dataclass(frozen=True)
class Worker:
    """A worker that may compute cells.

    Attributes:
        device: where it computes.
        gpus: names the GPUs that it sees, the same for workers that see the same.
        nanny: whether a nanny starts it again.
        memory: GB that it may take, 0 for no limit.
    """

    device: str
    gpus: str
    nanny: bool
    memory: float


class Workers:
    """The workers of a run, by address.

    A worker that is accepted has a Dask resource with the run's name, and every cell asks for one: so Dask gives each
    worker one cell at a time, and gives none to workers that are not accepted.

    Args:
        client: Dask's.
        local: whether the workers are processes of this machine.
        device: see :class:`~xaibench.running.request.Request`.
        say: called with sentences for the user.
    """

    def __init__(self, client: Client, local: bool, device: str, say: Callable[[str], object]) -> None:
        self.client, self.local, self.run = client, local, f"xaibench-{secrets.token_hex(6)}"
        self.accepted: dict[str, Worker] = {}
        self._refused: set[str] = set()
        self._device, self._say = device, say
        self._scheduler: Any = client.scheduler
        self._begun = False  # whether there was a worker
        self._empty_since: float | None = None
        self._paused: set[str] = set()  # those of which the user was told
        self._looked = 0.0

    def check(self) -> None:
        """Check that there is a cluster, look for a worker if there is none, and for workers that Dask has paused.

        Raises:
            ClusterLost: if the scheduler is gone, or all workers of this machine.
            UserError: if one of the first workers has another version.
        """
        where, now = f"The scheduler {self._scheduler.address}", time.monotonic()
        if self.client.status not in ("running", "newly-created"):
            raise ClusterLost(f"{where} is gone.", "Finished cells are kept.")
        if not self.accepted:
            self.accept()
        if self.accepted:
            self._empty_since = None
            if now > self._looked + LOOK:
                self._looked = now
                self._look_for_paused()
        elif self._empty_since is None:
            self._empty_since = now
            if not self.local:
                none = "worker left: waiting for another" if self._begun else "workers yet: waiting for the first"
                self._say(f"{where} has no {none}.")
        elif self.local and now - self._empty_since > GONE:
            raise ClusterLost("All workers are gone, and none could be started again.", "Finished cells are kept.")

    def _look_for_paused(self) -> None:
        """Dask starts no cell on a worker whose memory is nearly full, takes none back from it, and says so nowhere."""
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        paused = [address for address in self.accepted.keys() & known.keys() if known[address]["status"] == "paused"]
        for address in set(paused) - self._paused:
            nearly_all = f"nearly all of the {self.accepted[address].memory:.1f} GB that it may take"
            self._say(f"Dask has paused the worker {address}, which uses {nearly_all} (`--memory-limit`).")
        self._paused.update(paused)
        run = self.run

        async def not_begun(dask_worker: distributed.Worker) -> list[object]:
            return [task.key for task in dask_worker.state.constrained if str(task.key).startswith(run)]

        def take_back(dask_scheduler: distributed.Scheduler) -> None:
            dask_scheduler.transitions(dict.fromkeys(waiting, "released"), stimulus_id=run)

        if waiting := [key for keys in self._ask(paused, not_begun).values() for key in keys]:
            self.client.run_on_scheduler(take_back)

    def accept(self) -> None:
        """Accept new workers that have the same versions.

        Raises:
            UserError: if one of the first workers has another version.
        """
        from distributed.versions import get_versions

        known: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        self._refused &= known.keys()
        same = []
        for address, facts in self._ask(known.keys() - self.accepted - self._refused, get_versions, PACKAGES).items():
            if not (other := _other_version(facts["packages"], address)):
                same.append(address)
            elif not self._begun:
                raise UserError(other, "Install the same version on both sides.")
            else:
                self._say(f"{other} It is given nothing to do.")
                self._refused.add(address)
        own = self._device in ("auto", "cuda")
        gpus = self._ask(same, visible_gpus) if own else dict.fromkeys(same, ("", 0))
        if gpus and self._device == "auto":
            self._device = "cuda" if all(count for _, count in gpus.values()) else "cpu"
        new: dict[str, Worker] = {}
        for address, (names, count) in gpus.items():
            taken = [w.device for w in (*self.accepted.values(), *new.values()) if w.gpus == names]
            memory = (known[address]["memory_limit"] or 0) / 1e9
            new[address] = Worker(own_gpu(self._device, taken, count), names, bool(known[address]["nanny"]), memory)
        if new:
            self._join(new)

    def _join(self, new: dict[str, Worker]) -> None:
        devices = {address: worker.device for address, worker in (self.accepted | new).items()}
        self.client.set_metadata([self.run, "devices"], devices)
        run = self.run

        async def join(dask_worker: distributed.Worker) -> None:
            await dask_worker.set_resources(**{run: 1})

        def schedule(dask_scheduler: distributed.Scheduler) -> None:
            """Dask does not look again at cells that had no worker when a worker is given a resource."""
            waiting = [task.key for task in dask_scheduler.unrunnable if str(task.key).startswith(run)]
            dask_scheduler.transitions(dict.fromkeys(waiting, "processing"), stimulus_id=run)

        self.accepted |= {address: new[address] for address in self._ask(new, join)}
        self._begun = self._begun or bool(self.accepted)
        self.client.run_on_scheduler(schedule)

    def end(self, address: str) -> None:
        """End a worker's process; its nanny, where it has one, starts another."""
        worker = self.accepted.pop(address, None)
        nanny = worker is not None and worker.nanny

        def kill(dask_worker: distributed.Nanny) -> None:
            if pid := dask_worker.pid if nanny else os.getpid():
                psutil.Process(pid).kill()

        self._refused.add(address)
        with contextlib.suppress(Exception):  # it may be gone already
            # First, so that Dask gives it nothing more.
            self.client.sync(self._scheduler.set_resources, resources={self.run: 0}, worker=address)
            how: dict[str, Any] = {"workers": [address], "nanny": nanny, "wait": nanny, "on_error": "ignore"}
            self.client.run(kill, callback_timeout=ANSWERING, **how)

    def _ask(self, addresses: Collection[str], function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """The answers of workers to a call; those that are gone or take too long have none."""
        how: dict[str, Any] = {"workers": list(addresses), "callback_timeout": ANSWERING}
        with contextlib.suppress(OSError):
            return dict(self.client.run(function, *arguments, **how)) if addresses else {}
        # One that is gone or hangs keeps no other from answering.
        one_by_one = [self._ask([a], function, *arguments) for a in addresses] if len(addresses) > 1 else []
        return {address: answer for answered in one_by_one for address, answer in answered.items()}


def _other_version(packages: dict[str, str | None], address: str) -> str:
    """A sentence with both versions, if a worker has another one; else ""."""
    for package in PACKAGES:
        here, there = version(package), packages[package]
        if here != there:
            has = f"has {package} {there}" if there else f"has no {package}"
            return f"The worker {address} {has}, and here it is {here}."
    return ""
