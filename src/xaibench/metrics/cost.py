"""Cost of a map: seconds, passes and peak memory."""

import contextlib
import ctypes
import gc
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import torch

from xaibench.metrics.score import Score
from xaibench.registry import metric
from xaibench.scorer import Scorer

of_cost = partial(metric, family="cost", better="lower", range=(0, math.inf), measures="cost")
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass
class Cost:
    """Cost of one map: wall seconds, images through the network, and peak memory above the start in MB (10⁶ bytes)."""

    seconds: float = math.nan
    passes: int = 0
    peak_mb: float = math.nan


@contextmanager
def measured(scorer: Scorer) -> Iterator[Cost]:
    """Measure the cost of a block; the :class:`Cost` is complete after it. Blocks must not be nested.

    On a CPU the memory is the resident set: on Linux its peak as kept by the system, elsewhere sampled by a thread.
    Memory freed by earlier work is returned to the system first, so that the order of work does not matter. On a GPU it
    is the allocator's peak.
    """
    cost = Cost()
    _give_memory_back()
    with _gpu_peak(scorer.device) if scorer.device.type == "cuda" else _peak() as peak:
        passes, start = scorer.passes, time.perf_counter()
        try:
            yield cost
        finally:
            if scorer.device.type == "cuda":
                torch.cuda.synchronize(scorer.device)
            cost.seconds = time.perf_counter() - start
            cost.passes = scorer.passes - passes
            cost.peak_mb = peak() / 1e6


@contextmanager
def _gpu_peak(device: torch.device) -> Iterator[Callable[[], int]]:
    torch.cuda.reset_peak_memory_stats(device)
    base = torch.cuda.memory_allocated(device)
    yield lambda: torch.cuda.max_memory_allocated(device) - base


@contextmanager
def _peak() -> Iterator[Callable[[], int]]:
    """A function that returns the peak of resident bytes in the block, above those at its start."""
    process = psutil.Process()
    base = process.memory_info().rss
    try:
        _RESET.write_text("5")  # see man 5 proc: resets the peak to the resident set
        _highest_mark()
    except (OSError, LookupError):
        with _sampled(process) as highest:
            yield lambda: highest() - base
    else:
        yield lambda: max(0, _highest_mark() - base)


def _highest_mark() -> int:
    found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise LookupError("VmHWM")
    return int(found[1]) * 1024


@contextmanager
def _sampled(process: psutil.Process, interval: float = 0.002) -> Iterator[Callable[[], int]]:
    highest, stop = process.memory_info().rss, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not stop.wait(interval):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(highest, process.memory_info().rss)
    finally:
        stop.set()
        watcher.join()


def _give_memory_back() -> None:
    gc.collect()
    if sys.platform == "linux":
        # With another C library the peak may be slightly low after larger work.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


@of_cost("seconds")
def seconds(cost: Cost) -> Score:
    """Wall time of the map, s; comparable only within one run on one machine."""
    return Score(cost.seconds)


@of_cost("passes")
def passes(cost: Cost) -> Score:
    """Images scored for the map, whole or by a crop; a backward pass is not counted separately."""
    return Score(float(cost.passes))


@of_cost("peak-mb")
def peak_mb(cost: Cost) -> Score:
    """Peak memory of the map above the memory in use before, MB."""
    return Score(cost.peak_mb)
