"""An end to what takes too long in this process."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 1.0  # s after which one who caught the end is told once more


class OutOfTime(BaseException):
    """Raised where a block has taken too long; no Exception, so that no method takes it for an error of its own."""


def can_limit() -> bool:
    """Whether time can be limited here: in the main thread of a process that has POSIX signals."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def too_long(seconds: float) -> str:
    """The reason that is kept."""
    return f"it took longer than {seconds:g} s (--timeout)"


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Ends the block after so many seconds, wherever in Python code it is; without a number it may take any time.

    Signals are looked at between two steps of the interpreter: a call into compiled code is ended when it returns.

    Raises:
        OutOfTime: from within the block.
    """
    if seconds is None:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
