"""One run at a time in a folder: a lock that ends with its process, however that ends; standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xaibench.disk import unwritable

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where two runs in one folder are told apart by nothing
    fcntl = None  # type: ignore[assignment]

_LOOK = 0.2  # s between two tries; short waits, so that an interruption is heard


@contextmanager
def locked(path: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the lock in the block; wait while another process holds it.

    It is the system's own lock on an open file (``flock``, which NFS passes on to its server), not the file's being
    there: a process that is killed leaves none behind. Where the file system has no such locks the block is entered
    without one.

    Args:
        path: the file, made if it is not there, never removed. It says who has the lock.
        say: called with one sentence, if there is a wait or no lock can be had.

    Raises:
        UserError: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not inherited by programs that are started, which would hold the lock on.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _take(file, path, say)
        with contextlib.suppress(OSError):  # a full disk; who has it is only told
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps({"pid": os.getpid(), "host": platform.node()}).encode(), 0)
        yield
    finally:
        os.close(file)  # which ends the lock


def _take(file: int, path: Path, say: Callable[[str], object]) -> None:
    if fcntl is None:
        return
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                say(f"Waiting for another run in {path.parent} to end ({_holder(file)}) …")
                told = True
            time.sleep(_LOOK)
        except OSError as error:
            say(f"{path.parent} cannot be locked ({error.strerror or error}): let no other run write there meanwhile.")
            return


def _holder(file: int) -> str:
    try:
        who = json.loads(os.pread(file, 1000, 0))
        return f"process {int(who['pid'])} on {who['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "of an unknown process"
