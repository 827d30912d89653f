"""Dask preload script: workers on this machine ignore Ctrl-C, which reaches all processes of a terminal."""

import contextlib
import signal


def dask_setup(worker: object) -> None:
    """Called by Dask in each new worker process; the run itself decides what becomes of its workers."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
