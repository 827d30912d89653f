"""What a user asks of a run, the same for the command line and for Python."""

from __future__ import annotations

import contextlib
import difflib
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from xaibench.data.case import Cases
from xaibench.data.drive import find_drive
from xaibench.data.load import load_cases
from xaibench.errors import UserError
from xaibench.model.load import load_model
from xaibench.model.precision import PRECISIONS, in_precision
from xaibench.model.weights_file import weights_digest
from xaibench.record.scores import SCORE_COLUMNS, tidy
from xaibench.record.store import Store
from xaibench.registry import Plugin, Spec
from xaibench.run.execute import Report, Watch, execute
from xaibench.run.pictures import keeping_pictures
from xaibench.run.plan import SUITES, Kept, Plan, Setting, chosen_methods, chosen_metrics, run_name
from xaibench.run.tables import write_tables
from xaibench.scorer import TARGETS

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
        metrics: by name; all if empty.
        suite: ``"quick"``, ``"standard"``, ``"full"`` or ``"truth"``.
        out: the run's folder; ``runs/`` and a name made of data, model and target if None.
        seed: decides all chance.
        device: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
        precision: ``"float32"``, or ``"bf16"``: another, faster network for all that is said of it, see
            :func:`~xaibench.model.precision.in_precision`.
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


@dataclass(frozen=True)
class Prepared:
    """A request with all its names resolved: nothing was computed or written yet.

    Attributes:
        cases, methods, model, setting, store, device: see :func:`xaibench.run.execute.execute`.
        why: one sentence on which data is used and why.
        data: what names the data, to be read again.
        network: what names the model, to be loaded again; None where it was given as an object.
    """

    cases: Cases
    methods: list[Spec]
    model: nn.Module
    setting: Setting
    store: Store
    device: str
    why: str
    data: str
    network: str | None

    def remaining(self, force: bool = False) -> dict[str, int]:
        """How many cells there are, are kept, need scores only, and need a map; reads the cases, computes nothing."""
        count = {"cells": 0, "kept": 0, "scores": 0, "maps": 0}
        plan = Plan(self.methods, self.setting)
        kept = Kept(self.store, plan)
        for case in self.cases:
            for cell in plan.cells(case.digest):
                todo = kept.missing(cell, force)
                count["cells"] += 1
                count["maps" if todo is None else "scores" if todo else "kept"] += 1
        return count

    def run_json(self, command: str) -> dict[str, Any]:
        """What ``run.json`` keeps: what was asked, and what it was computed with."""
        known: dict[str, Any] = {}
        with contextlib.suppress(UserError):  # a damaged one is written anew
            known = self.store.read_run()
        packages = ("xaibench", "torch", "monai", "numpy", "scipy", "scikit-image", "scikit-learn")
        return {
            "command": command,
            "data": self.data,
            "network": self.network,
            "dataset": self.setting.dataset,
            "split": self.setting.split,
            "note": self.cases.note,
            # A folder can hold what several commands asked for: the leaderboard is about all of it.
            "cases": sorted({*known.get("cases", ()), *self.cases.ids}),
            "methods": list(dict.fromkeys([*known.get("methods", ()), *map(str, self.methods)])),
            "metrics": list(dict.fromkeys([*known.get("metrics", ()), *map(str, self.setting.metrics)])),
            "model": self.setting.model,
            "weights_digest": self.setting.weights_digest,
            "target": self.setting.target,
            "seed": self.setting.seed,
            "device": self.device,
            "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
            "machine": {
                "system": platform.system(),
                "processor": platform.processor() or platform.machine(),
                "threads": torch.get_num_threads(),
            },
        }


def prepare(request: Request) -> Prepared:
    """Resolve every name of a request.

    Raises:
        UserError: for whatever in it does not exist or cannot be used.
    """
    _check("suite", request.suite, SUITES)
    _check("target", request.target, TARGETS)
    _check("precision", request.precision, PRECISIONS)
    suite = SUITES[request.suite]
    methods = chosen_methods(request.methods, suite)
    metrics = chosen_metrics(request.metrics, suite)
    data, count, why = _data(request, suite.cases)
    cases = load_cases(data, split=request.split, count=count)
    name = request.model or default_model(cases.dataset)
    model = load_model(name)
    label = name if isinstance(name, str) else name.stem if isinstance(name, Path) else type(name).__name__
    digest = weights_digest(model)
    if request.precision != "float32":  # no score of one precision is ever taken for one of another
        model = in_precision(model, request.precision)
        label, digest = f"{label} ({request.precision})", f"{digest}-{request.precision}"
    setting = Setting(cases.dataset, cases.split, label, digest, request.target, request.seed, tuple(metrics))
    out = request.out or Path("runs") / run_name(str(data), label, request.target)
    network = None if isinstance(name, nn.Module) else str(name)
    device = chosen_device(request.device)
    return Prepared(cases, methods, model, setting, Store(out), device, why, str(data), network)


def run(
    methods: Sequence[str | Plugin | Callable[..., Any]] = (),
    *,
    report: Report = lambda event: None,
    force: bool = False,
    fail_fast: bool = False,
    **asked: Any,
) -> pd.DataFrame:
    """Compute, keep and return the scores of methods and controls.

    Args:
        methods: names such as ``"gradcam[layer=last]"``, or functions ``(scorer, image, *, rng) -> (H, W)``.
        report: called with an :class:`~xaibench.run.execute.Event` after each cell.
        force: compute also what is there.
        fail_fast: raise the first failure of a method instead of recording it.
        **asked: the other fields of :class:`Request`: ``data``, ``cases``, ``model``, ``target``, ``out`` …

    Returns:
        One row per score, with the columns of ``scores.csv``.

    Raises:
        UserError: for whatever in the request does not exist or cannot be used.
    """
    import pandas as pd

    prepared = prepare(Request(methods, **asked))
    run_prepared(prepared, " ".join(sys.argv), report, force=force, fail_fast=fail_fast)
    plan = Plan(prepared.methods, prepared.setting)
    keys = {cell.key for case in prepared.cases for cell in plan.cells(case.digest)}
    wanted = [r for folder in prepared.store.index.folders() for r in folder.records(keys.__contains__)]
    return pd.DataFrame(tidy(wanted), columns=list(SCORE_COLUMNS))


def run_prepared(
    prepared: Prepared,
    command: str,
    report: Report,
    *,
    watch: Watch | None = None,
    force: bool = False,
    fail_fast: bool = False,
) -> int:
    """Execute and keep what was prepared; ``scores.csv`` is written also after an interruption.

    Args:
        prepared: what.
        command: kept in ``run.json``.
        report, watch, force, fail_fast: see :func:`xaibench.run.execute.execute`.

    Returns:
        The number of cells with a failure in them.
    """
    p = prepared
    p.store.write_run(p.run_json(command))
    try:
        how: dict[str, Any] = {"device": p.device, "force": force, "fail_fast": fail_fast}
        how["watch"] = watch
        failures = execute(p.cases, p.methods, p.model, p.setting, p.store, report, **how)
        cases = keeping_pictures(p.store, p.cases, p.model, p.setting.weights_digest, force=force)
        write_tables(p.store, cases, p.methods, p.model, p.setting, force=force)
        return failures
    finally:
        p.store.write_scores()


def default_model(dataset: str) -> str:
    """The bundled network that was trained on this kind of data."""
    return "unet-phantom" if dataset.startswith("phantom") else "unet-drive"


def _check(what: str, name: str, known: Iterable[str]) -> None:
    if name not in (names := list(known)):
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}."
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


def chosen_device(asked: str) -> str:
    """The device that ``auto``, ``cpu`` or ``cuda:N`` stands for on this machine.

    Raises:
        UserError: if there is no such device.
    """
    if asked == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise UserError(f"{asked!r} is no device.", "Give auto, cpu or cuda:N.") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"{asked!r} is a device that this version does not compute on.", "Give auto, cpu or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"{asked} was asked for, and there are {torch.cuda.device_count()} CUDA devices.", "Give cpu.")
    return asked
