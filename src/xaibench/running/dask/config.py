"""Which workers compute a run, as it is asked for, before any is started or joined."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xaibench.errors import UserError


class ClusterLost(UserError):
    """The cluster is gone in the middle of a run; finished cells are kept."""


@dataclass(frozen=True)
class Cluster:
    """Workers that this run starts on this machine, or a Dask cluster that it joins.

    Attributes:
        workers: number of processes to start on this machine; None to join a cluster.
        scheduler: the address of its scheduler, such as ``"tcp://10.0.0.1:8786"``.
        scheduler_file: the file that ``dask scheduler --scheduler-file`` wrote, instead of the address.
        tls_ca, tls_cert, tls_key: files, for a cluster that speaks TLS; Dask's own configuration where None.
        memory: GB that each worker of this machine may take; None for an even share of all.
    """

    workers: int | None = None
    scheduler: str | None = None
    scheduler_file: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    memory: float | None = None

    @property
    def local(self) -> bool:
        """Whether the workers are processes of this machine that the run starts."""
        return self.workers is not None

    @property
    def address(self) -> str:
        """Of the scheduler.

        Raises:
            UserError: if the scheduler's file cannot be read.
        """
        if self.scheduler_file is None:
            text = self.scheduler or ""
            return text if "://" in text else f"{'tls' if self.tls_ca or self.tls_cert else 'tcp'}://{text}"
        try:
            return str(json.loads(Path(self.scheduler_file).read_text("utf-8"))["address"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = error.strerror if isinstance(error, OSError) else "it holds no address"
            raise UserError(
                f"The scheduler file {self.scheduler_file} cannot be read: {what}.",
                f"`dask scheduler --scheduler-file {self.scheduler_file}` writes it.",
            ) from error

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` stores of it."""
        return {"workers": self.workers} if self.local else {"scheduler": self.address}

    def caution(self) -> str:
        """A warning if the connection is not encrypted, or "".

        Raises:
            UserError: if the scheduler's file cannot be read.
        """
        if self.local or self.address.startswith("tls://") or _is_loopback(self.address):
            return ""
        return (
            f"The way to {self.address} is not encrypted: whoever can reach that scheduler can read what is sent and "
            "run code on its workers. Give --tls-ca, --tls-cert and --tls-key where others share the network."
        )


def checked(cluster: Cluster) -> Cluster | None:
    """The cluster, or None if it names neither workers nor a scheduler: then this process computes.

    Raises:
        UserError: if its options contradict each other, or a file is not there.
    """
    ways = {
        "--workers": cluster.workers,
        "--scheduler": cluster.scheduler,
        "--scheduler-file": cluster.scheduler_file,
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} are two places to compute in.", "Give one of them.")
    if cluster.workers is not None and cluster.workers < 1:
        raise UserError(f"{cluster.workers} workers can compute nothing.", "Give --workers 1 or more.")
    for name in ("tls_ca", "tls_cert", "tls_key"):
        file, option = getattr(cluster, name), f"--{name.replace('_', '-')}"
        if file is not None and not given:
            raise UserError(
                f"{option} says how to speak to a cluster, and none was named.", "Give --scheduler ADDRESS."
            )
        if file is not None and cluster.local:
            raise UserError(f"{option} is for --scheduler: workers of this machine are reached without a network.")
        if file is not None and not Path(file).is_file():
            raise UserError(f"{option}: there is no file {file}.", "Check its name.")
    if cluster.tls_key is not None and cluster.tls_cert is None:
        raise UserError("--tls-key needs the certificate that it belongs to.", "Give --tls-cert FILE.")
    if cluster.memory is not None and not cluster.local:
        raise UserError(
            "--worker-memory is for --workers: a cluster's own workers have been given theirs.",
            "`dask worker --memory-limit` sets it there.",
        )
    if cluster.scheduler is not None:
        _check_address(cluster.address, cluster.scheduler)
    return cluster if given else None


def _check_address(address: str, given: str) -> None:
    protocol, _, rest = address.partition("://")
    host, colon, port = rest.rpartition(":")
    if protocol in ("tcp", "tls") and not (colon and host and port.isdigit()):
        raise UserError(
            f"{given!r} is no address of a scheduler.", "Write tcp://HOST:PORT, as `dask scheduler` prints it."
        )
    if protocol not in ("tcp", "tls", "ws", "wss", "ucx", "ucxx"):
        raise UserError(
            f"{given!r} is of no protocol that a scheduler speaks.", "Write tcp://HOST:PORT or tls://HOST:PORT."
        )


def _is_loopback(address: str) -> bool:
    host = address.partition("://")[2].rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    with contextlib.suppress(OSError):
        return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
    return False
