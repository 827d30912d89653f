"""The connection to workers: processes started on this machine, or a Dask cluster that is joined."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

import psutil

from xaibench.errors import UserError, first_line
from xaibench.running.cluster import Cluster
from xaibench.running.threads import Threads

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

UNREACHABLE = 5.0  # s after which a scheduler that does not answer counts as unreachable
ATTEMPTS = 3  # at a cell whose worker dies, on workers of this machine


@contextmanager
def connected(cluster: Cluster, threads: Threads) -> Iterator[Client]:
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
    connection = _started(cluster, environment) if cluster.local else _joined(cluster)
    with _silent(), dask.config.set(settings), connection as client:
        yield client


@contextmanager
def _started(cluster: Cluster, environment: Mapping[str, str]) -> Iterator[Client]:
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    count = cluster.workers or 1
    # Workers are killed in the end; the process that cleans up after them would warn of every lock that they held.
    given, quiet = os.environ.get("PYTHONWARNINGS"), "ignore::UserWarning:multiprocessing.resource_tracker"
    # It also takes back what Dask adds to the environment as it starts workers.
    with patch.dict(os.environ, {**environment, "PYTHONWARNINGS": f"{given},{quiet}" if given else quiet}):
        if sys.platform != "win32":
            from multiprocessing.resource_tracker import ensure_running

            ensure_running()
        try:
            processes = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit=int(cluster.memory * 1e9) if cluster.memory is not None else MEMORY_LIMIT // count,
                dashboard_address="127.0.0.1:0" if importlib.util.find_spec("bokeh") else None,
                silence_logs=logging.CRITICAL + 1,
                preload=["xaibench.running.dask.preload"],
            )
            client = Client(processes, set_as_default=False)
        except Exception as error:  # Dask's errors have no common base
            raise UserError(
                f"{count} workers cannot be started: {_cause(error)}.",
                'In a script, guard what runs by `if __name__ == "__main__":`, since each worker reads the script.',
            ) from error
        try:
            yield client
        finally:
            _end(processes, client)


def _end(processes: LocalCluster, client: Client) -> None:
    """End all processes at once: finished cells are stored, and what is being computed is lost anyway."""
    for nanny in processes.workers.values():
        nanny.close_gracefully()  # so that it starts no other
        if nanny.pid:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(nanny.pid).kill()
    with contextlib.suppress(Exception):
        client.close(timeout=5)
    with contextlib.suppress(Exception):
        processes.close(timeout=10)


@contextmanager
def _joined(cluster: Cluster) -> Iterator[Client]:
    from distributed import Client, Security

    address = cluster.address
    files = {"tls_ca_file": cluster.tls_ca, "tls_client_cert": cluster.tls_cert, "tls_client_key": cluster.tls_key}
    given = {name: os.fspath(file) for name, file in files.items() if file is not None}
    # Without any, Dask's own configuration decides.
    security = Security(require_encryption=True, **given) if given else None
    try:
        client = Client(address, timeout=UNREACHABLE, security=security, set_as_default=False)
    except Exception as error:  # refused, unknown, of another protocol or certificate …
        raise UserError(
            f"The scheduler {address} cannot be reached: {_cause(error)}.",
            "Is it running, and is the address the one that it printed?",
        ) from error
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=5)


@contextmanager
def _silent() -> Iterator[None]:
    """Silence the loggers and warnings of Dask and what it uses; what matters to the user is said in sentences."""
    import distributed  # noqa: F401 - its import sets up the loggers

    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] in ("distributed", "tornado", "asyncio")]
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        for logger in map(logging.getLogger, names):
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module="distributed")
        yield


def _cause(error: BaseException) -> str:
    """Type and first line of the innermost cause."""
    while error.__cause__ is not None and isinstance(error, OSError | RuntimeError):
        error = error.__cause__
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"
