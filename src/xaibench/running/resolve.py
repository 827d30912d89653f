"""A request with its names resolved: the images, methods, network and folder of a run."""

import contextlib
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from xaibench.data.case_loader import load_cases
from xaibench.data.cases import Cases
from xaibench.data.datasets.local_copy import find_copy
from xaibench.errors import UserError, did_you_mean
from xaibench.models.model_loader import load_model
from xaibench.models.precision import digest_in, in_precision
from xaibench.models.probe import probe_logits
from xaibench.models.weights_file import weights_digest
from xaibench.record.keys import agree, digest_of, is_another
from xaibench.record.manifest import ColumnInfo, Manifest
from xaibench.record.store import Store
from xaibench.registry import MetricTraits, Spec, dataset_traits
from xaibench.running.devices import chosen_device
from xaibench.running.plan import SUITES, Kept, Plan, Setting, chosen_methods, chosen_metrics, run_name
from xaibench.running.request import Request
from xaibench.running.sandbox.timeout import can_limit
from xaibench.vocabulary import PRECISIONS, TARGETS

SMALL_PHANTOMS = "phantom[size=256]"
SMALL_COUNT = 3


@dataclass(frozen=True)
class Run:
    """Methods on images, explained on one network, and the folder for the results.

    Attributes:
        cases: the images; each is loaded once, in order.
        methods: explainers, controls among them.
        model: the network, in evaluation mode.
        setting: what decides a cell beside method and case.
        store: the run's folder.
        options: the request, with the data, network and device that were chosen.
        why: one sentence that says which data is used, and why.
        behaviour: the network's logits for a fixed image, under the digest of the network, see
            :func:`~xaibench.models.probe.probe_logits`; empty if it does not take that image.
    """

    cases: Cases
    methods: Sequence[Spec]
    model: nn.Module
    setting: Setting
    store: Store
    options: Request = field(default_factory=Request)
    why: str = ""
    behaviour: dict[str, list[float]] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Plan:
        """The cells of the run on any case."""
        return Plan(self.methods, self.setting)

    @property
    def threads(self) -> int:
        """The number of threads that each process computes with."""
        return self.options.threads or torch.get_num_threads()

    def cautions(self) -> list[str]:
        """Sentences that the user should know before anything is computed."""
        found = [self.options.cluster.caution()] if self.options.cluster is not None else []
        stored = _stored(self.store)
        if any(is_another(digest) and digest not in stored.behaviour for digest in self.behaviour):
            found.append(
                f"{self.setting.model} has the weights of a network whose scores are in {self.store.root}, but gives "
                "other logits: its cells are computed anew, and have a table of their own."
            )
        before, now = stored.machine.get("threads"), self.threads
        if before is not None and str(before) != str(now):
            found.append(
                f"What is kept in {self.store.root} was computed with {before} threads, and now there are {now}, which "
                f"can change the last digits: --threads {before} would not."
            )
        return [sentence for sentence in found if sentence]

    def remaining(self) -> dict[str, int]:
        """Numbers of cells: all, complete, without some scores, without a map; reads the cases, computes nothing."""
        count = {"cells": 0, "kept": 0, "scores": 0, "maps": 0}
        stored = Kept(self.store, self.plan)
        for case in self.cases:
            for cell in self.plan.cells(case.digest):
                missing = None if self.options.force else stored.missing(cell)
                count["cells"] += 1
                count["maps" if missing is None else "scores" if missing else "kept"] += 1
        return count

    def manifest(self, command: str) -> Manifest:
        """``run.json``: what was asked for, and what it is computed with.

        A folder can hold the cells of several commands; lists are merged, since the leaderboard covers all of them.
        """
        known, setting, cluster = _stored(self.store), self.setting, self.options.cluster
        packages = ("xaibench", "torch", "monai", "numpy", "scipy", "scikit-image", "scikit-learn")
        return Manifest(
            **setting.named,
            command=command,
            data=str(self.options.data),
            network=None if isinstance(self.options.model, nn.Module) else str(self.options.model),
            note=self.cases.note,
            terms=dataset_traits(setting.dataset).terms,
            cases=sorted({*known.cases, *self.cases.ids}),
            methods=list(dict.fromkeys([*known.methods, *map(str, self.methods)])),
            metrics=list(dict.fromkeys([*known.metrics, *map(str, setting.metrics)])),
            behaviour=known.behaviour | self.behaviour,
            metric_versions=known.metric_versions | {str(m): " ".join(m.plugin.distribution) for m in setting.metrics},
            columns=known.columns | {str(m): _column(m) for m in setting.metrics},
            device=self.options.device,
            cluster=None if cluster is None else cluster.to_json(),
            versions={"python": platform.python_version(), **{p: version(p) for p in packages}},
            machine={
                "system": platform.system(),
                "processor": platform.processor() or platform.machine(),
                "threads": self.threads,
            },
        )


def _stored(store: Store) -> Manifest:
    """The folder's ``run.json``; empty if there is none, or if it is damaged and is to be written anew."""
    with contextlib.suppress(UserError):
        return store.read_run()
    return Manifest()


def resolve(request: Request) -> Run:
    """Look up every name of a request; nothing is computed or written.

    Raises:
        UserError: for whatever in it does not exist or cannot be used.
    """
    choices = {
        "suite": (request.suite, tuple(SUITES)),
        "target": (request.target, TARGETS),
        "precision": (request.precision, PRECISIONS),
    }
    for what, (asked, known) in choices.items():
        if asked not in known:
            hint = did_you_mean(asked, known, f"There are {', '.join(known)}.")
            raise UserError(f"There is no {what} {asked!r}.", hint)
    _check_limits(request)
    device = chosen_device(request.device, request.cluster)
    suite = SUITES[request.suite]
    methods = chosen_methods(request.methods, suite)
    metrics = chosen_metrics(request.metrics, suite)
    data, count, why = _data(request)
    cases = load_cases(data, split=request.split, count=count)
    if request.cases is None and suite.cases is not None and len(cases) > suite.cases:
        every, cases = len(cases), cases[: suite.cases]
        why += f" The suite {suite.name} takes the first {len(cases)} of {every} images; --cases {every} takes all."
    name = request.model or default_model(cases.dataset)
    model = load_model(name)
    label = name if isinstance(name, str) else name.stem if isinstance(name, Path) else type(name).__name__
    if request.precision != "float32":
        label = f"{label} ({request.precision})"
    store = Store(request.out or Path("runs") / run_name(str(data), label, request.target))
    logits = probe_logits(model)
    if not agree(logits, probe_logits(model)):
        hint = "Turn off what draws random numbers in its forward, such as functional.dropout without training=False."
        raise UserError(f"{label} gives other logits each time for the same image.", hint)
    digest = digest_of(weights_digest(model), logits, _stored(store).behaviour)
    behaviour = {digest: logits} if logits else {}
    model, digest = in_precision(model, request.precision), digest_in(digest, request.precision)
    setting = Setting(cases.dataset, cases.split, label, digest, request.target, request.seed, tuple(metrics))
    options = replace(request, data=data, model=name, device=device)
    return Run(cases, methods, model, setting, store, options, why, behaviour)


def default_model(dataset: str) -> str:
    """The network that a dataset declares for its images; ``unet-drive`` for a user's own images."""
    return dataset_traits(dataset).default_model


def _check_limits(request: Request) -> None:
    if request.timeout is not None and not request.timeout > 0:
        raise UserError(f"{request.timeout:g} s is no time to compute in.", "Give a --timeout above 0.")
    if request.timeout is not None and request.cluster is None and not can_limit():
        raise UserError(
            "The time of a cell can be limited in the main thread of a POSIX process only, or with workers.",
            "Give workers=1.",
        )
    if request.threads is not None and request.threads < 1:
        raise UserError(f"{request.threads} threads can compute nothing.", "Give --threads 1 or more.")


def _data(request: Request) -> tuple[str | os.PathLike[str], int | None, str]:
    """The data, the number of images that was asked for, and the sentence that says why."""
    if request.data is not None:
        return request.data, request.cases, f"Data: {request.data}, as asked."
    drive = find_copy(dataset_traits("drive"))
    if drive is not None:
        return "drive", request.cases, f"Data: DRIVE, found in {drive}."
    set_to = os.environ.get("XAIBENCH_DRIVE")
    looked = f"XAIBENCH_DRIVE is {set_to}, which holds no labelled DRIVE" if set_to else "DRIVE was not found"
    why = f"Data: built-in phantoms, since {looked} (set XAIBENCH_DRIVE to its folder, or give --data)."
    return SMALL_PHANTOMS, SMALL_COUNT if request.cases is None else request.cases, why


def _column(metric: Spec[MetricTraits]) -> ColumnInfo:
    """What tables and reports need to know of a metric, so that they need not import the plugin.

    ``main`` and ``narrow`` hold for the metric at its own parameters; only the number of steps does not make it another
    measure.
    """
    traits, name = metric.plugin.traits, metric.plugin.name
    varied = any(parameter != "steps" for parameter, _ in metric.given)
    low, high = (float(end) if math.isfinite(end) else None for end in traits.range)
    return ColumnInfo(
        label=(traits.label or name) + str(metric).removeprefix(name),
        explanation=traits.explanation or metric.plugin.summary,
        main=None if varied else traits.main,
        narrow=traits.narrow,
        better=traits.better,
        low=low,
        high=high,
        family=metric.plugin.family,
        gate=traits.gate,
    )
