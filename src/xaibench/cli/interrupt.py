"""Ctrl-C: once, and what is being done is finished first; twice, and it stops at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Stop:
    """Listens for Ctrl-C while the block lasts, where Python does; a process that was told to ignore it goes on.

    Args:
        now: in words what will be finished, such as ``"gradcam on 01"``; asked for at the first Ctrl-C.
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
        """Called where nothing is begun; raises KeyboardInterrupt if Ctrl-C was pressed."""
        if self.presses:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.presses += 1
        if self.presses > 1:
            raise KeyboardInterrupt
        # Not by print, which the signal may have come in the middle of.
        with contextlib.suppress(OSError):
            os.write(2, f"\nStopping when {self._now()} is finished; Ctrl-C again stops at once.\n".encode())
