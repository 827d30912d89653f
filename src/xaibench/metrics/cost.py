"""What a map costs: read off its computation, not off the map."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from xaibench.metrics.score import Score
from xaibench.registry import metric
from xaibench.scorer import Scorer


@dataclass
class Cost:
    """Cost of one map: wall seconds, images through the network, and peak memory above the start in MB (10⁶ bytes)."""

    seconds: float = math.nan
    passes: int = 0
    peak_mb: float = math.nan


@contextmanager
def measured(scorer: Scorer, interval: float = 0.002) -> Iterator[Cost]:
    """Measure what happens in the block; the :class:`Cost` is complete after it.

    Memory on a CPU is the resident set, sampled every ``interval`` seconds by a thread; memory that earlier work freed
    is given back to the system first, so that the order of work doesn't matter. On a GPU it is the allocator's peak.
    """
    cost, process, stop = Cost(), psutil.Process(), threading.Event()
    _give_memory_back()
    cuda = scorer.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(scorer.device)
    base = torch.cuda.memory_allocated(scorer.device) if cuda else process.memory_info().rss
    peak = base

    def watch() -> None:
        nonlocal peak
        while not stop.wait(interval):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    if not cuda:
        watcher.start()
    passes, start = scorer.passes, time.perf_counter()
    try:
        yield cost
    finally:
        if cuda:
            torch.cuda.synchronize(scorer.device)
            peak = torch.cuda.max_memory_allocated(scorer.device)
        cost.seconds = time.perf_counter() - start
        cost.passes = scorer.passes - passes
        if not cuda:
            stop.set()
            watcher.join()
            peak = max(peak, process.memory_info().rss)
        cost.peak_mb = (peak - base) / 1e6


def _give_memory_back() -> None:
    gc.collect()
    if sys.platform == "linux":
        # With another C library the peak may be a little low after larger work.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


@metric("seconds", family="cost", better="lower", range=(0, math.inf), measures="cost")
def seconds(cost: Cost) -> Score:
    """Wall time of the map, s; comparable within one run on one machine only."""
    return Score(cost.seconds)


@metric("passes", family="cost", better="lower", range=(0, math.inf), measures="cost")
def passes(cost: Cost) -> Score:
    """Pictures scored for the map, wholly or by a crop of what changed; a backward pass is not counted apart."""
    return Score(float(cost.passes))


@metric("peak-mb", family="cost", better="lower", range=(0, math.inf), measures="cost")
def peak_mb(cost: Cost) -> Score:
    """Most memory that the map took above what was in use before, MB."""
    return Score(cost.peak_mb)
