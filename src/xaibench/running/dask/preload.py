"""Loaded into each worker of a cluster on this machine before anything else, see Dask's preload."""

from __future__ import annotations

import contextlib
import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ctrl-C reaches all processes of a terminal: it is for the run to say what becomes of its workers."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
