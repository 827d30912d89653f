"""What a user asks of a run, the same for the command line and for Python."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from xaibench.data.case_loader import load_cases
from xaibench.data.datasets.drive import find_drive
from xaibench.errors import UserError, did_you_mean
from xaibench.models.model_loader import load_model
from xaibench.models.precision import digest_in, in_precision
from xaibench.models.weights_file import weights_digest
from xaibench.record.score_table import SCORE_COLUMNS, tidy
from xaibench.record.store import Store
from xaibench.registry import Plugin, dataset_traits
from xaibench.running.dask.config import Cluster, cluster_of
from xaibench.running.devices import chosen_device
from xaibench.running.execute import Report
from xaibench.running.plan import SUITES, Plan, Setting, chosen_methods, chosen_metrics, run_name
from xaibench.running.resolve import Prepared, run_prepared
from xaibench.running.sandbox.timeout import can_limit
from xaibench.vocabulary import PRECISIONS, TARGETS

if TYPE_CHECKING:
    import pandas as pd

SMALL_PHANTOMS = "phantom[size=256]"
SMALL_COUNT = 3


@dataclass(frozen=True)
class Request:
    """A run as it was asked for; None stands for the default.

    Attributes:
        methods: explainers by name, or functions; the suite's if empty. Controls are always added.
        data: dataset, folder or zip; DRIVE where it is found, else three small phantoms.
        split: which part of the data.
        cases: how many, the first ones; the suite's number if None.
        model: name, weights file, ``package.module:factory`` or a module; by default the bundled one that was
            trained on this kind of data.
        target: which pixels to explain.
        metrics: by name; the suite's if empty.
        suite: ``"quick"``, ``"standard"``, ``"full"`` or ``"truth"``.
        out: the run's folder; ``runs/`` and a name made of data, model and target if None.
        seed: decides all chance.
        device: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
        precision: ``"float32"``, or ``"bf16"``: another, faster network for all that is said of it, see
            :func:`~xaibench.models.precision.in_precision`.
        threads: that each process computes with; PyTorch's own choice if None. Another number may round differently.
        timeout: seconds after which a cell has failed; None for no limit.
        workers, scheduler, scheduler_file, tls_ca, tls_cert, tls_key, worker_memory: compute on so many processes of
            this machine, or on a Dask cluster, see :class:`~xaibench.running.dask.config.Cluster`; in this process if
            all are None. A script that asks for workers must be guarded by ``if __name__ == "__main__":``.
    """

    methods: Sequence[str | Plugin | Callable[..., Any]] = ()
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
    scheduler_file: str | os.PathLike[str] | None = None
    tls_ca: str | os.PathLike[str] | None = None
    tls_cert: str | os.PathLike[str] | None = None
    tls_key: str | os.PathLike[str] | None = None
    worker_memory: float | None = None

    @property
    def cluster(self) -> Cluster | None:
        """Where to compute, None for this process.

        Raises:
            UserError: if it contradicts itself, or a file is not there.
        """
        return cluster_of(
            workers=self.workers,
            scheduler=self.scheduler,
            scheduler_file=self.scheduler_file,
            tls_ca=self.tls_ca,
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
            memory=self.worker_memory,
        )


def prepare(request: Request) -> Prepared:
    """Resolve every name of a request.

    Raises:
        UserError: for whatever in it does not exist or cannot be used.
    """
    _check("suite", request.suite, SUITES)
    _check("target", request.target, TARGETS)
    _check("precision", request.precision, PRECISIONS)
    cluster = request.cluster
    if request.timeout is not None and not request.timeout > 0:
        raise UserError(f"{request.timeout:g} s is no time to compute in.", "Give a --timeout above 0.")
    if request.timeout is not None and cluster is None and not can_limit():
        raise UserError(
            "The time of a cell can be limited in the main thread of a POSIX process only, or with workers.",
            "Give workers=1.",
        )
    if request.threads is not None and request.threads < 1:
        raise UserError(f"{request.threads} threads can compute nothing.", "Give --threads 1 or more.")
    suite = SUITES[request.suite]
    methods = chosen_methods(request.methods, suite)
    metrics = chosen_metrics(request.metrics, suite)
    data, count, why = _data(request, suite.cases)
    cases = load_cases(data, split=request.split, count=count)
    name = request.model or default_model(cases.dataset)
    model = load_model(name)
    label = name if isinstance(name, str) else name.stem if isinstance(name, Path) else type(name).__name__
    digest = weights_digest(model)
    if request.precision != "float32":
        model = in_precision(model, request.precision)
        label, digest = f"{label} ({request.precision})", digest_in(digest, request.precision)
    setting = Setting(cases.dataset, cases.split, label, digest, request.target, request.seed, tuple(metrics))
    out = request.out or Path("runs") / run_name(str(data), label, request.target)
    network = None if isinstance(name, nn.Module) else str(name)
    return Prepared(
        cases,
        methods,
        model,
        setting,
        Store(out),
        chosen_device(request.device, cluster),
        why,
        str(data),
        network,
        threads=request.threads,
        timeout=request.timeout,
        cluster=cluster,
    )


def run(
    methods: str | Sequence[str | Plugin | Callable[..., Any]] = (),
    *,
    report: Report = lambda event: None,
    force: bool = False,
    fail_fast: bool = False,
    **asked: Any,
) -> pd.DataFrame:
    """Compute, keep and return the scores of methods and controls.

    Args:
        methods: names such as ``"gradcam[layer=last]"``, or functions ``(scorer, image, *, rng) -> (H, W)``.
        report: called with an :class:`~xaibench.running.execute.Event` after each cell.
        force: compute also what is there.
        fail_fast: raise the first failure of a method instead of recording it.
        **asked: the other fields of :class:`Request`: ``data``, ``cases``, ``model``, ``target``, ``out`` …

    Returns:
        One row per score, with the columns of ``scores.csv``.

    Raises:
        UserError: for whatever in the request does not exist or cannot be used.
    """
    import pandas as pd

    prepared = prepare(Request([methods] if isinstance(methods, str) else methods, **asked))
    for caution in prepared.cautions():
        warnings.warn(caution, stacklevel=2)
    with prepared.store.locked():
        run_prepared(prepared, " ".join(sys.argv), report, force=force, fail_fast=fail_fast)
    plan = Plan(prepared.methods, prepared.setting)
    keys = {cell.key for case in prepared.cases for cell in plan.cells(case.digest)}
    wanted = [r for r in prepared.store.stream() if r.map_key in keys]
    return pd.DataFrame(tidy(wanted), columns=list(SCORE_COLUMNS))


def default_model(dataset: str) -> str:
    """The network that a dataset declares for its images; ``unet-drive`` for a user's own images."""
    return dataset_traits(dataset).default_model


def _check(what: str, name: str, known: Iterable[str]) -> None:
    if name not in (names := list(known)):
        hint = did_you_mean(name, names, f"There are {', '.join(names)}.")
        raise UserError(f"There is no {what} {name!r}.", hint)


def _data(request: Request, count: int | None) -> tuple[str | os.PathLike[str], int | None, str]:
    count = request.cases if request.cases is not None else count
    if request.data is not None:
        return request.data, count, f"Data: {request.data}, as asked."
    drive = find_drive()
    if drive is not None:
        return "drive", count, f"Data: DRIVE, found in {drive}."
    set_to = os.environ.get("XAIBENCH_DRIVE")
    looked = f"XAIBENCH_DRIVE is {set_to}, which holds no labelled DRIVE" if set_to else "DRIVE was not found"
    why = f"Data: built-in phantoms, since {looked} (set XAIBENCH_DRIVE to its folder, or give --data)."
    return SMALL_PHANTOMS, SMALL_COUNT if request.cases is None else request.cases, why
