"""How a run computes, as opposed to what: device, threads, timeout, workers."""

from __future__ import annotations

from dataclasses import dataclass

from xaibench.running.dask.config import Cluster


@dataclass(frozen=True)
class RunOptions:
    """Options that change how cells are computed and not which cells there are.

    Attributes:
        device: ``"cpu"`` or ``"cuda:N"``; with workers also ``"cuda"`` for a GPU for each, or ``"auto"`` for GPUs where
            every worker has one.
        force: compute also what is stored already.
        fail_fast: end with the first failure instead of recording it and going on.
        timeout: seconds after which a cell has failed; None for no limit.
        threads: that each process computes with; PyTorch's own choice if None.
        cluster: the workers to compute on; None for this process.
    """

    device: str = "cpu"
    force: bool = False
    fail_fast: bool = False
    timeout: float | None = None
    threads: int | None = None
    cluster: Cluster | None = None
