"""The connection to workers: processes started on this machine, or a Dask cluster that is joined."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from xaibench.errors import UserError
from xaibench.running.dask.config import Cluster
from xaibench.running.threads import Threads

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Security

UNREACHABLE = 5.0  # s after which a scheduler that does not answer counts as unreachable
ATTEMPTS = 3  # at a cell whose worker dies


@dataclass(frozen=True)
class Connection:
    """A connection to workers.

    Attributes:
        client: Dask's.
        local: the number of processes on this machine; None for a cluster that was joined.
        address: of the scheduler.
        dashboard: the address of Dask's dashboard, or "".
    """

    client: Client
    local: int | None
    address: str
    dashboard: str


@contextmanager
def connected(cluster: Cluster, threads: Threads) -> Iterator[Connection]:
    """Connect to workers while the block lasts.

    Args:
        cluster: which.
        threads: what each worker of this machine computes with.

    Raises:
        UserError: if the workers do not start, or the scheduler does not answer.
    """
    import dask

    environment = {
        "OMP_NUM_THREADS": str(threads.torch),
        "MKL_NUM_THREADS": str(threads.torch),
        "OPENBLAS_NUM_THREADS": str(threads.blas),
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait take no core from those that work
    }
    settings = {
        "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
        "distributed.nanny.pre-spawn-environ": environment,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
        "distributed.worker.profile.enabled": False,  # it would look at every thread a hundred times a second
        "distributed.admin.tick.limit": "1h",
        "distributed.admin.large-graph-warning-threshold": "1TB",
    }
    if not cluster.local:
        with _silent(), dask.config.set(settings), _joined(cluster) as connection:
            yield connection
        return
    # Workers are killed in the end; the process that cleans up after them would warn of every lock that they held.
    quiet = ",".join(
        filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore::UserWarning:multiprocessing.resource_tracker"))
    )
    with _silent(), _environment(environment | {"PYTHONWARNINGS": quiet}), dask.config.set(settings):
        if sys.platform != "win32":
            from multiprocessing.resource_tracker import ensure_running

            ensure_running()
        with _started(cluster) as connection:
            yield connection


@contextmanager
def _started(cluster: Cluster) -> Iterator[Connection]:
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    count = cluster.workers or 1
    dashboard = "127.0.0.1:0" if importlib.util.find_spec("bokeh") is not None else None
    try:
        processes = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=int(cluster.memory * 1e9) if cluster.memory is not None else MEMORY_LIMIT // count,
            dashboard_address=dashboard,
            silence_logs=logging.CRITICAL + 1,
            preload=["xaibench.running.dask.preload"],
        )
    except Exception as error:  # Dask's errors have no common base
        raise UserError(
            f"{count} workers cannot be started: {_cause(error)}.",
            'In a script, guard what runs by `if __name__ == "__main__":`, since each worker reads the script.',
        ) from error
    client = None
    try:
        client = Client(processes, set_as_default=False)
        yield Connection(client, count, processes.scheduler_address, client.dashboard_link if dashboard else "")
    finally:
        _end(processes, client)


def _end(processes: LocalCluster, client: Client | None) -> None:
    """End all processes at once: finished cells are stored, and what is being computed is lost anyway."""

    async def let_go() -> None:
        for nanny in processes.workers.values():
            nanny.close_gracefully()  # so that it starts no other

    try:
        with contextlib.suppress(Exception):
            processes.sync(let_go, callback_timeout=5)
    finally:  # also if Ctrl-C is pressed once more
        for pid in [nanny.pid for nanny in processes.workers.values()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                if pid:
                    psutil.Process(pid).kill()
    with contextlib.suppress(Exception):
        if client is not None:
            client.close(timeout=5)
    with contextlib.suppress(Exception):
        processes.close(timeout=10)


@contextmanager
def _joined(cluster: Cluster) -> Iterator[Connection]:
    from distributed import Client

    address = cluster.address
    try:
        client = Client(address, timeout=UNREACHABLE, security=_security(cluster), set_as_default=False)
    except Exception as error:  # refused, unknown, of another protocol or certificate …
        raise UserError(
            f"The scheduler {address} cannot be reached: {_cause(error)}.",
            "Is it running, and is the address the one that it printed?",
        ) from error
    try:
        yield Connection(client, None, address, client.dashboard_link or "")
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=5)


def _security(cluster: Cluster) -> Security | None:
    """The cluster's TLS files; None to leave it to Dask's own configuration."""
    from distributed import Security

    files = {
        "tls_ca_file": cluster.tls_ca,
        "tls_client_cert": cluster.tls_cert,
        "tls_client_key": cluster.tls_key,
    }
    given = {name: file for name, file in files.items() if file is not None}
    return Security(require_encryption=True, **given) if given else None


@contextmanager
def _silent() -> Iterator[None]:
    """Silence the loggers and warnings of Dask and what it uses; what matters to the user is said in sentences."""
    import distributed  # noqa: F401 - its import sets up the loggers

    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] in ("distributed", "tornado", "asyncio")]
    before = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables of this process, which Dask changes, too, as it starts workers."""
    before: dict[str, Any] = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cause(error: BaseException) -> str:
    """Type and first line of the innermost cause."""
    while error.__cause__ is not None and isinstance(error, OSError | RuntimeError):
        error = error.__cause__
    text = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
