"""The way to workers: processes of this machine that are started, or a Dask cluster that is joined."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from xaibench.errors import UserError
from xaibench.running.dask.config import Cluster
from xaibench.running.threads import Threads

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Security

UNREACHABLE = 5.0  # s after which a scheduler that does not answer is said to be unreachable
ANSWERING = 30.0  # s that workers may take to say what they are
MATTERS = ("xaibench", "torch")  # whose versions decide numbers


@dataclass(frozen=True)
class Connection:
    """A way to workers.

    Attributes:
        client: Dask's.
        local: how many processes of this machine there are; None for a cluster that was joined.
        address: of the scheduler.
        dashboard: the address of Dask's dashboard, or "".
    """

    client: Client
    local: int | None
    address: str
    dashboard: str


@contextmanager
def connected(cluster: Cluster, threads: Threads) -> Iterator[Connection]:
    """Workers, as long as the block lasts.

    Args:
        cluster: which.
        threads: what each worker of this machine is to compute with.

    Raises:
        UserError: if they do not come up, or the scheduler does not answer.
    """
    with (
        _silent(),
        _reserved(threads) if cluster.local else contextlib.nullcontext(),
        _started(cluster) if cluster.local else _joined(cluster) as connection,
    ):
        yield connection


@contextmanager
def _started(cluster: Cluster) -> Iterator[Connection]:
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    count = cluster.workers or 1
    _start_tracker()
    memory = int(cluster.memory * 1e9) if cluster.memory is not None else MEMORY_LIMIT // count
    dashboard = "127.0.0.1:0" if importlib.util.find_spec("bokeh") is not None else None
    try:
        processes = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=memory,
            dashboard_address=dashboard,
            silence_logs=logging.CRITICAL + 1,
            preload=["xaibench.running.dask.preload"],
        )
    except Exception as error:  # Dask's own ways to fail have no common base
        raise UserError(
            f"{count} workers cannot be started: {_first_line(error)}.",
            'In a script, guard what runs by `if __name__ == "__main__":`, since each worker reads the script.',
        ) from error
    client = None
    try:
        client = Client(processes, set_as_default=False)
        yield Connection(client, count, processes.scheduler_address, client.dashboard_link if dashboard else "")
    finally:
        _end(processes, client)


def _start_tracker() -> None:
    """Start the process that cleans up after workers such that it says nothing of the locks that they held.

    Workers are killed in the end, and many a library makes a lock that it would have given back.
    """
    if sys.platform == "win32":  # where there is none
        return
    from multiprocessing.resource_tracker import ensure_running

    before = os.environ.get("PYTHONWARNINGS")
    silent = "ignore::UserWarning:multiprocessing.resource_tracker"
    os.environ["PYTHONWARNINGS"] = f"{before},{silent}" if before else silent
    try:
        ensure_running()
    finally:
        os.environ.pop("PYTHONWARNINGS")
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _end(processes: LocalCluster, client: Client | None) -> None:
    """Ends all processes at once: what they are at is lost anyway, and what is finished has been kept."""

    async def let_go() -> None:
        for nanny in processes.workers.values():
            nanny.close_gracefully()  # so that it starts no other

    try:
        with contextlib.suppress(Exception):
            processes.sync(let_go, callback_timeout=5)
    finally:  # also if one is in such a hurry that Ctrl-C is pressed once more
        for pid in [nanny.pid for nanny in processes.workers.values()]:
            with contextlib.suppress(ProcessLookupError):
                if pid:
                    os.kill(pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
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
    except Exception as error:  # refused, unknown, not of this protocol, of another certificate …
        raise UserError(
            f"The scheduler {address} cannot be reached: {_first_line(error)}.",
            "Is it running, and is the address the one that it printed?",
        ) from error
    try:
        yield Connection(client, None, address, client.dashboard_link or "")
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=5)


def _security(cluster: Cluster) -> Security | None:
    """None for what Dask's own configuration says."""
    from distributed import Security

    if not (cluster.tls_ca or cluster.tls_cert):
        return None
    given = {
        "tls_ca_file": cluster.tls_ca,
        "tls_client_cert": cluster.tls_cert,
        "tls_client_key": cluster.tls_key,
    }
    return Security(require_encryption=True, **{k: v for k, v in given.items() if v is not None})


def about_workers(client: Client, addresses: list[str], *, gpus: bool) -> dict[str, dict[str, Any]]:
    """Versions, host and visible GPUs of workers; those that do not answer are left out.

    Args:
        client: Dask's.
        addresses: of the workers.
        gpus: whether to count GPUs, which needs torch to be loaded there.
    """

    packages = MATTERS

    def about() -> dict[str, Any]:  # sent as it stands, since another version may not have it
        import os
        import socket
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, Any] = {"host": socket.gethostname(), "visible": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
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

    answers: dict[str, Any] = {}
    with contextlib.suppress(TimeoutError):
        answers = client.run(about, workers=addresses, on_error="return", callback_timeout=ANSWERING)
    if not answers:  # one that hangs keeps no other from answering
        for address in addresses if len(addresses) > 1 else []:
            answers |= about_workers(client, [address], gpus=gpus)
    return {address: answer for address, answer in answers.items() if isinstance(answer, dict)}


def other_version(about: dict[str, Any], address: str) -> str:
    """A sentence that names both versions, where a worker has another one; else ""."""
    for package in MATTERS:
        here, there = version(package), about[package]
        if here != there:
            has = f"has {package} {there}" if there else f"has no {package}"
            return f"The worker {address} {has}, and here it is {here}."
    return ""


def end_worker(client: Client, address: str, nanny: bool) -> None:
    """Kill a worker's process; its nanny, where it has one, starts another."""

    def by_nanny(dask_worker: Any) -> None:
        import os
        import signal

        os.kill(dask_worker.pid, signal.SIGKILL)

    def by_itself() -> None:
        import os

        os._exit(1)

    with contextlib.suppress(Exception):  # it may be gone already
        how = by_nanny if nanny else by_itself
        client.run(how, workers=[address], nanny=nanny, wait=nanny, on_error="ignore", callback_timeout=ANSWERING)


@contextmanager
def _silent() -> Iterator[None]:
    """Dask's log is not the user's: what matters of it is said in words."""
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] in ("distributed", "tornado", "asyncio")]
    before = {n: logging.getLogger(n).level for n in names}
    try:
        import distributed  # noqa: F401 - whose import sets up its loggers

        names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] in ("distributed", "tornado", "asyncio")]
        before = {n: logging.getLogger(n).level for n in names} | before
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _reserved(threads: Threads) -> Iterator[None]:
    """What Dask takes from its configuration and writes to the environment of this process, while workers are there."""
    import dask

    environment = {
        "OMP_NUM_THREADS": str(threads.torch),
        "MKL_NUM_THREADS": str(threads.torch),
        "OPENBLAS_NUM_THREADS": str(threads.blas),
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait take no core from those that work
    }
    before = {name: os.environ.get(name) for name in environment}
    settings = {
        "distributed.nanny.pre-spawn-environ": environment,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
        "distributed.worker.profile.enabled": False,  # which looks at every thread a hundred times a second
        "distributed.admin.tick.limit": "1h",
    }
    try:
        with dask.config.set(settings):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None and isinstance(error, OSError | RuntimeError):
        error = error.__cause__
    text = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
