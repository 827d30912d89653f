"""Ctrl-C: the first press lets the current cell finish, the second stops at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Stop:
    """A context manager that counts presses of Ctrl-C; where SIGINT is ignored, it stays ignored.

    Args:
        now: returns the name of the current cell, such as ``"gradcam on 01"``, for the message of the first press.
    """

    def __init__(self, now: Callable[[], str]) -> None:
        self.presses = 0
        self._now = now
        self._before: Any = None

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

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
