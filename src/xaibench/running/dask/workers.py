"""The workers that may compute cells of a run: those with the same versions, each with a device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from xaibench.errors import UserError
from xaibench.running.dask.client import Connection
from xaibench.running.dask.config import ClusterLost
from xaibench.running.dask.worker import leave
from xaibench.running.devices import own_gpu

TICK = 0.2  # s between two looks at the clock
ANSWERING = 30.0  # s that a worker may take to answer
GONE = 60.0  # s without any worker after which those of this machine are given up
PACKAGES = ("xaibench", "torch")  # whose versions decide numbers


@dataclass(frozen=True)
class Worker:
    """A worker that may compute cells.

    Attributes:
        device: where it computes.
        host: host and visible GPUs: workers that see the same GPUs have the same.
        nanny: whether a nanny starts it again.
        memory: GB that it may take, 0 for no limit.
    """

    device: str
    host: tuple[str, str]
    nanny: bool
    memory: float


class Workers:
    """The accepted workers of a run, by address.

    A worker that is accepted has a Dask resource with the run's name, and every cell asks for one: so Dask gives each
    worker one cell at a time, and gives none to workers that are not accepted.

    Args:
        connection: to the cluster.
        run: its name.
        device: see :class:`~xaibench.running.options.RunOptions`.
        say: called with sentences for the user.
    """

    def __init__(self, connection: Connection, run: str, device: str, say: Callable[[str], object]) -> None:
        self.accepted: dict[str, Worker] = {}
        self._refused: set[str] = set()
        self._connection, self._client = connection, connection.client
        self._run, self._device, self._say = run, device, say
        self._empty_since: float | None = None

    def wait_for_first(self) -> None:
        """Return as soon as there is a worker.

        Raises:
            UserError: if one has another version.
            ClusterLost: if the scheduler is gone.
        """
        self.accept(strict=True)
        if not self.accepted:
            self._say(f"The scheduler {self._connection.address} has no workers yet: waiting for the first.")
        while not self.accepted:
            time.sleep(TICK)
            self.check_scheduler()
            self.accept(strict=True)

    def accept(self, *, strict: bool = False) -> None:
        """Accept new workers that have the same versions.

        Args:
            strict: whether one with another version is an error.

        Raises:
            UserError: then.
        """
        known: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        self._refused &= known.keys()
        new: dict[str, Worker] = {}
        facts = self._facts([a for a in known if a not in self.accepted and a not in self._refused])
        for address, found in facts.items():
            other = _other_version(found, address)
            if other and strict:
                raise UserError(other, "Install the same version on both sides.")
            if other:
                self._say(f"{other} It is given nothing to do.")
                self._refused.add(address)
                continue
            host, memory = (found["host"], found["visible"]), known[address]["memory_limit"] or 0
            taken = [w.device for w in (*self.accepted.values(), *new.values()) if w.host == host]
            device = own_gpu(self._device, taken, found["gpus"])
            new[address] = Worker(device, host, bool(known[address]["nanny"]), memory / 1e9)
        devices = {address: worker.device for address, worker in (self.accepted | new).items()}
        self._client.set_metadata([self._run, "devices"], devices)
        resource = {self._run: 1}

        async def join(dask_worker: Any) -> None:
            await dask_worker.set_resources(**resource)

        joined = self._ask(list(new), join)
        for answer in joined.values():
            if isinstance(answer, Exception) and not isinstance(answer, OSError):  # which it has if it is gone again
                raise answer
        self.accepted |= {address: new[address] for address, answer in joined.items() if answer is None}

    def remove(self, address: str) -> None:
        """Forget a worker that is gone."""
        self.accepted.pop(address, None)

    def refuse(self, address: str) -> None:
        """Have Dask give a worker nothing more."""
        self._refused.add(address)
        scheduler: Any = self._client.scheduler
        with contextlib.suppress(OSError, KeyError):  # it is gone already
            self._client.sync(scheduler.set_resources, resources={self._run: 0}, worker=address)

    def kill(self, address: str) -> None:
        """End a worker's process; its nanny, where it has one, starts another."""

        def by_nanny(dask_worker: Any) -> None:
            import psutil

            psutil.Process(dask_worker.pid).kill()

        def by_itself() -> None:
            import os

            os._exit(1)

        worker = self.accepted.pop(address, None)
        with contextlib.suppress(Exception):  # it may be gone already
            nanny = worker is not None and worker.nanny
            how: dict[str, Any] = {"workers": [address], "nanny": nanny, "wait": nanny, "on_error": "ignore"}
            self._client.run(by_nanny if nanny else by_itself, callback_timeout=ANSWERING, **how)

    def check(self) -> None:
        """Check that there is a cluster.

        Raises:
            ClusterLost: if the scheduler is gone, or all workers of this machine.
        """
        self.check_scheduler()
        local, now = self._connection.local, time.monotonic()
        if self.accepted:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
            if local is None:
                self._say(f"The scheduler {self._connection.address} has no worker left: waiting for another.")
        elif local is not None and now - self._empty_since > GONE:
            raise ClusterLost("All workers are gone, and none could be started again.", "Finished cells are kept.")

    def check_scheduler(self) -> None:
        """Raises ClusterLost if the scheduler is gone."""
        if self._client.status not in ("running", "newly-created"):
            raise ClusterLost(f"The scheduler {self._connection.address} is gone.", "Finished cells are kept.")

    def unrunnable(self) -> list[str]:
        """The keys of cells that had no worker when the last one died, which Dask then forgets."""

        def keys(dask_scheduler: Any) -> list[str]:
            return [task.key for task in dask_scheduler.unrunnable]

        found: list[str] = self._client.run_on_scheduler(keys)
        return found

    def release(self) -> None:
        """Have the workers of a cluster that goes on free network and images."""
        if self._connection.local is None and self._client.status == "running":
            self._client.run(leave, self._run, workers=list(self.accepted), wait=False)

    def _facts(self, addresses: list[str]) -> dict[str, dict[str, Any]]:
        """Versions, host and visible GPUs of workers by address; workers that do not answer are left out."""
        if self._connection.local is not None:
            own = {package: version(package) for package in PACKAGES}
            return {a: own | {"host": "", "visible": "", "gpus": torch.cuda.device_count()} for a in addresses}
        packages, gpus = PACKAGES, self._device in ("auto", "cuda")

        def facts() -> dict[str, Any]:  # sent by value, since another version may lack it
            import os
            import socket
            from importlib.metadata import PackageNotFoundError, version

            found: dict[str, Any] = {
                "host": socket.gethostname(),
                "visible": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            }
            for package in packages:
                try:
                    found[package] = version(package)
                except PackageNotFoundError:
                    found[package] = ""
            found["gpus"] = 0
            if gpus and found["torch"]:
                import torch

                found["gpus"] = torch.cuda.device_count()
            return found

        answers = self._ask(addresses, facts)
        if not answers and len(addresses) > 1:  # one that hangs keeps no other from answering
            answers = {a: answer for address in addresses for a, answer in self._ask([address], facts).items()}
        found = {address: answer for address, answer in answers.items() if isinstance(answer, dict)}
        if found and self._device == "auto":
            self._device = "cuda" if all(f["gpus"] for f in found.values()) else "cpu"
        return found

    def _ask(self, addresses: list[str], function: Callable[..., Any]) -> dict[str, Any]:
        """The answers of workers to a call; exceptions are answers, and a call that takes too long has none."""
        if not addresses:
            return {}
        how: dict[str, Any] = {"workers": addresses, "on_error": "return", "callback_timeout": ANSWERING}
        with contextlib.suppress(OSError, TimeoutError):
            answers: dict[str, Any] = self._client.run(function, **how)
            return answers
        return {}


def _other_version(facts: dict[str, Any], address: str) -> str:
    """A sentence with both versions, if a worker has another one; else ""."""
    for package in PACKAGES:
        here, there = version(package), facts[package]
        if here != there:
            has = f"has {package} {there}" if there else f"has no {package}"
            return f"The worker {address} {has}, and here it is {here}."
    return ""
