"""How many threads a process computes with: another number may round differently, the same one never does.

Kernels cut their work by the number of threads, not by that of cores, so that a process with a share of the cores still
gives the bits of one that has them all.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from threadpoolctl import ThreadpoolController


@dataclass(frozen=True)
class Threads:
    """Of this process.

    Attributes:
        torch: for networks.
        blas: for NumPy's and SciPy's linear algebra.
    """

    torch: int
    blas: int


def threads_here() -> Threads:
    """What this process computes with."""
    pools = ThreadpoolController().select(user_api="blas").info()
    return Threads(torch.get_num_threads(), max((int(p["num_threads"]) for p in pools), default=1))


def compute_with(threads: Threads) -> None:
    """Has this process, and later also this thread, compute with so many threads."""
    torch.set_num_threads(threads.torch)
    ThreadpoolController().select(user_api="blas").limit(limits=threads.blas)


@contextmanager
def computing_with(count: int | None) -> Iterator[None]:
    """So many threads within the block, as many as before afterwards; None changes nothing."""
    if count is None:
        yield
        return
    before = threads_here()
    compute_with(Threads(count, count))
    try:
        yield
    finally:
        compute_with(before)


def share_of_cores(rank: int, workers: int, cores: list[int]) -> list[int]:
    """The cores of one of so many workers; those that are left over go to the first ones.

    Example:
        >>> [share_of_cores(rank, 2, [0, 1, 2, 3, 4]) for rank in range(2)]
        [[0, 2, 4], [1, 3]]
        >>> share_of_cores(2, 3, [0, 1])
        [0]
    """
    return cores[rank % workers :: workers] or [cores[rank % len(cores)]]


def keep_to_share(rank: int, workers: int) -> None:
    """Has all threads of this process run on its share of the cores, where the system lets that be said."""
    if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/task").is_dir():
        return
    share = share_of_cores(rank, workers, sorted(os.sched_getaffinity(0)))
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            os.sched_setaffinity(int(thread.name), share)
