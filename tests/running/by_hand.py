"""Schedulers and workers as users start them, each a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from faults import wait_for

HERE = Path(__file__).resolve().parent
SOURCES = str(HERE.parents[1] / "src")


class ByHand:
    """A scheduler and its workers.

    Args:
        folder: for the scheduler's file and logs.
        options: of both, such as those for TLS.
        protocol: what the scheduler speaks.
    """

    def __init__(self, folder: Path, *options: str, protocol: str = "tcp") -> None:
        self.folder, self._options = folder, options
        self.file = folder / "scheduler.json"
        self._started: list[subprocess.Popen[bytes]] = []
        words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file))
        self.scheduler = self._start("scheduler", *words, "--protocol", protocol)
        wait_for(lambda: self.scheduler.poll() is not None or (self.file.exists() and self.file.read_text().strip()))
        assert self.scheduler.poll() is None, self.log()
        self.address: str = json.loads(self.file.read_text())["address"]

    def worker(self, *more: str, path: Sequence[Path] = (HERE.parent,)) -> subprocess.Popen[bytes]:
        """One more worker, with a nanny unless it is told otherwise."""
        words = ("--scheduler-file", str(self.file), "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        return self._start("worker", *words, "--local-directory", str(self.folder), *more, path=path)

    def log(self) -> str:
        """What they all said."""
        return "\n".join(p.read_text(errors="replace") for p in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        """Ends what was started, workers of nannies included."""
        for process in reversed(self._started):
            end_group(process)

    def _start(self, what: str, *words: str, path: Sequence[Path] = ()) -> subprocess.Popen[bytes]:
        code = "from distributed.cli import dask_scheduler, dask_worker; dask_" + what + ".main()"
        with (self.folder / f"{what}-{len(self._started)}.log").open("wb") as log:
            self._started.append(in_a_session("-c", code, *words, *self._options, path=path, stdout=log, stderr=log))
        return self._started[-1]


def environment(path: Sequence[Path] = ()) -> dict[str, Any]:
    """Of a process that finds these sources and no others of the same name, and computes with as many threads."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "OMP_WAIT_POLICY": "PASSIVE"}
    return os.environ | threads | {"PYTHONPATH": os.pathsep.join([SOURCES, *map(str, path)])}


def in_a_session(*argv: str, path: Sequence[Path] = (), **how: Any) -> subprocess.Popen[Any]:
    """Python with these arguments, in a session of its own, which :func:`end_group` ends."""
    return subprocess.Popen([sys.executable, *argv], env=environment(path), start_new_session=True, **how)


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kills a process that has a session of its own, and all that it started there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
