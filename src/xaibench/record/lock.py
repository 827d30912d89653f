"""The lock of a run's folder, which lets one run in at a time and ends with its process."""

import contextlib
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout, UnixFileLock, WindowsFileLock

from xaibench.disk import writing

_INTERVAL = 0.2  # s between two attempts


class _Holder(msgspec.Struct):
    pid: int
    host: str


@contextmanager
def locked(path: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the lock in the block; wait while another process holds it.

    It is the operating system's lock on an open file, which ends when its process is killed, and works over NFS. Where
    the system has no locks the block is entered without one. Meanwhile ``PATH.json`` names the holder.

    Args:
        path: the file, made if it is not there, never removed.
        say: called with one sentence, if there is a wait or no lock can be had.

    Raises:
        UserError: if the file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    lock, holder = FileLock(path, mode=0o666), path.with_name(f"{path.name}.json")
    try:
        # A lock that is a mere file would outlive a process that is killed.
        if not isinstance(lock, UnixFileLock | WindowsFileLock):
            raise NotImplementedError("this system has no locks")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"Waiting for another run in {path.parent} to end ({_read_holder(holder)}) …")
            lock.acquire(poll_interval=_INTERVAL)
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        say(f"{path.parent} cannot be locked ({reason}): let no other run write there meanwhile.")
    try:
        with contextlib.suppress(OSError):  # a full disk: the holder is information only
            holder.write_bytes(msgspec.json.encode(_Holder(os.getpid(), platform.node())))
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _read_holder(path: Path) -> str:
    try:
        holder = msgspec.json.decode(path.read_bytes(), type=_Holder)
    except (OSError, msgspec.MsgspecError):
        return "of an unknown process"
    return f"process {holder.pid} on {holder.host}"
