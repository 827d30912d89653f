"""Ctrl-C: the first press lets the current cell finish, the second stops at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Stop:
    """Counts presses of Ctrl-C.

    Args:
        now: returns the name of the current cell, such as ``"gradcam on 01"``, for the message of the first press.
    """

    def __init__(self, now: Callable[[], str]) -> None:
        self.presses = 0
        self._now = now

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Count the presses inside the block; where SIGINT is ignored, it stays ignored."""
        before = signal.getsignal(signal.SIGINT)
        heard = threading.current_thread() is threading.main_thread() and callable(before)
        if heard:
            signal.signal(signal.SIGINT, self._hear)
        try:
            yield
        finally:
            if heard:
                signal.signal(signal.SIGINT, before)

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed; called between cells."""
        if self.presses:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.presses += 1
        if self.presses > 1:
            raise KeyboardInterrupt
        # os.write, since the signal may arrive in the middle of a print.
        with contextlib.suppress(OSError):
            os.write(2, f"\nStopping when {self._now()} is finished; Ctrl-C again stops at once.\n".encode())
