"""The workers that a run computes on: processes of this machine, or a Dask cluster."""

import ipaddress
import json
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from xaibench.errors import UserError

Name = str | os.PathLike[str] | None  # of a file
PROTOCOLS = ("tcp", "tls", "ws", "wss", "ucx", "ucxx")  # that schedulers speak


@dataclass(frozen=True)
class Cluster:
    """Workers that this run starts on this machine, or a Dask cluster that it joins.

    Attributes:
        workers: number of processes to start on this machine; None to join a cluster.
        scheduler: the address of its scheduler, such as ``"tcp://10.0.0.1:8786"``.
        scheduler_file: the file that ``dask scheduler --scheduler-file`` wrote, instead of the address.
        tls_ca, tls_cert, tls_key: files, for a cluster that speaks TLS; Dask's own configuration where None.
        memory: GB that each worker of this machine may take; None for an even share of all.

    Raises:
        UserError: if options contradict each other, or a file is not there.
    """

    workers: int | None = None
    scheduler: str | None = None
    scheduler_file: Name = None
    tls_ca: Name = None
    tls_cert: Name = None
    tls_key: Name = None
    memory: float | None = None

    def __post_init__(self) -> None:
        ways = {"--workers": self.workers, "--scheduler": self.scheduler, "--scheduler-file": self.scheduler_file}
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)} are two places to compute in.", "Give one of them.")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"{self.workers} workers can compute nothing.", "Give --workers 1 or more.")
        tls = {"--tls-ca": self.tls_ca, "--tls-cert": self.tls_cert, "--tls-key": self.tls_key}
        for option, file in tls.items():
            if file is not None and not given:
                why = f"{option} says how to speak to a cluster, and none was named."
                raise UserError(why, "Give --scheduler ADDRESS.")
            if file is not None and self.local:
                raise UserError(f"{option} is for --scheduler: workers of this machine are reached without a network.")
            if file is not None and not Path(file).is_file():
                raise UserError(f"{option}: there is no file {file}.", "Check its name.")
        if self.tls_key is not None and self.tls_cert is None:
            raise UserError("--tls-key needs the certificate that it belongs to.", "Give --tls-cert FILE.")
        if self.memory is not None and not self.local:
            raise UserError(
                "--worker-memory is for --workers: a cluster's own workers have been given theirs.",
                "`dask worker --memory-limit` sets it there.",
            )
        if self.scheduler is None:
            return
        protocol = self.address.partition("://")[0]
        if protocol in ("tcp", "tls") and not re.fullmatch(r"\w+://\[?[^][]+]?:\d+", self.address):
            hint = "Write tcp://HOST:PORT, as `dask scheduler` prints it."
            raise UserError(f"{self.scheduler!r} is no address of a scheduler.", hint)
        if protocol not in PROTOCOLS:
            hint = "Write tcp://HOST:PORT or tls://HOST:PORT."
            raise UserError(f"{self.scheduler!r} is of no protocol that a scheduler speaks.", hint)

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

    def to_json(self) -> dict[str, int | str]:
        """What ``run.json`` stores of it."""
        return {"scheduler": self.address} if self.workers is None else {"workers": self.workers}

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


def _is_loopback(address: str) -> bool:
    try:
        found = socket.getaddrinfo(urlsplit(address).hostname, None)
    except (OSError, ValueError):  # unknown, or no name of a host at all
        return False
    return all(ipaddress.ip_address(where[0]).is_loopback for *_, where in found)
