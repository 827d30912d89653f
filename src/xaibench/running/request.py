"""A run as it is asked for, the same for the command line and for Python."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from xaibench.explainers.explain import Method
from xaibench.running.cluster import Cluster, Name


@dataclass(frozen=True)
class Request:
    """A run as it is asked for; None stands for the default.

    Attributes:
        methods: explainers by name, or functions; the suite's if empty. Controls are always added.
        data: dataset, folder or zip; DRIVE where it is found, else three small phantoms.
        split: which part of the data.
        cases: the number of images, the first ones; the suite's number if None.
        model: name, weights file, ``package.module:factory`` or a module; by default the bundled one that was
            trained on this kind of data.
        target: which pixels to explain.
        metrics: by name; the suite's if empty.
        suite: ``"quick"``, ``"standard"``, ``"full"`` or ``"truth"``.
        out: the run's folder; ``runs/`` and a name made of data, model and target if None.
        seed: decides all randomness.
        device: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
        precision: ``"float32"``, or ``"bf16"``, which is faster and counts as another network, see
            :func:`~xaibench.models.precision.in_precision`.
        threads: that each process computes with; PyTorch's own choice if None. Another number may round differently.
        timeout: seconds after which a cell has failed; None for no limit.
        workers, scheduler, scheduler_file, tls_ca, tls_cert, tls_key, worker_memory: compute on so many processes of
            this machine, or on a Dask cluster, see :class:`~xaibench.running.cluster.Cluster`; in this process if
            all are None. A script that asks for workers must be guarded by ``if __name__ == "__main__":``.
        force: compute also what is stored already.
        fail_fast: raise the first failure of a method instead of recording it.
    """

    methods: Sequence[Method] = ()
    data: str | os.PathLike[str] | None = None
    split: str = "test"
    cases: int | None = None
    model: str | Path | nn.Module | None = None
    target: str = "vessels"
    metrics: Sequence[str] = ()
    suite: str = "quick"
    out: str | Path | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    threads: int | None = None
    timeout: float | None = None
    workers: int | None = None
    scheduler: str | None = None
    scheduler_file: Name = None
    tls_ca: Name = None
    tls_cert: Name = None
    tls_key: Name = None
    worker_memory: float | None = None
    force: bool = False
    fail_fast: bool = False

    @property
    def cluster(self) -> Cluster | None:
        """Where to compute, None for this process.

        Raises:
            UserError: if options contradict each other, or a file is not there.
        """
        places = (self.workers, self.scheduler, self.scheduler_file)
        cluster = Cluster(*places, self.tls_ca, self.tls_cert, self.tls_key, self.worker_memory)
        return None if places == (None, None, None) else cluster
