"""What travels between a run and its workers; nothing else does, and Dask's own channel carries it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from xaibench import registry
from xaibench.errors import UserError, first_line
from xaibench.record.schema import Record
from xaibench.registry import Spec
from xaibench.running.plan import Setting
from xaibench.running.threads import Threads
from xaibench.scorer.batching import Engine


@dataclass(frozen=True)
class Named:
    """A registered plugin, which a worker finds under its name."""

    kind: str
    name: str
    distribution: tuple[str, str]
    given: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Job:
    """What all cells of a run share, sent to each worker once.

    Attributes:
        model: in evaluation mode.
        methods: the run's, in order.
        setting: the rest of what decides a cell, with its metrics in :attr:`metrics` instead.
        metrics: the setting's.
        identities: of the metrics, from which the keys of scores follow.
        fail_fast: raise the first failure instead of recording it.
    """

    model: nn.Module
    methods: tuple[Named | Spec, ...]
    setting: Setting
    metrics: tuple[Named | Spec, ...]
    identities: tuple[str, ...]
    fail_fast: bool


@dataclass(frozen=True)
class Order:
    """One cell for one worker.

    Attributes:
        number: of this order, told with each message about it.
        topic: where messages go.
        run: of the job.
        job: pickled, if the worker does not have it.
        case_key: of the image.
        case: pickled, if the worker does not have it.
        method: place in the job's methods.
        key: the map's.
        kept: what is there of the cell.
        attribution: the map that is there.
        todo: the keys of the scores that are missing; None if the map is, too.
        device: where to compute.
        threads: to compute with.
        share: (rank, number of workers) of a worker that keeps to its share of the cores; None if it may have all.
        engine: micro-batch and memory format, the same for all workers; None to find out.
        first: whether it is of the run's first image.
        steps: whether to tell of every pass.
        timed: whether the time is limited, so that it must be known when the cell begins.
    """

    number: int
    topic: str
    run: str
    job: bytes | None
    case_key: str
    case: bytes | None
    method: int
    key: str
    kept: Record | None
    attribution: np.ndarray | None
    todo: tuple[str, ...] | None
    device: str
    threads: Threads
    share: tuple[int, int] | None
    engine: Engine | None
    first: bool
    steps: bool
    timed: bool


@dataclass(frozen=True)
class Answer:
    """What a worker makes of an order.

    Attributes:
        record: of the cell; None if it could not be begun.
        attribution: (H, W) float32 map if it is a new one.
        trace: of the last failure, or "".
        engine: that was used.
        refused: why it could not be begun: what was sent cannot be read here.
    """

    record: Record | None = None
    attribution: np.ndarray | None = None
    trace: str = ""
    engine: Engine | None = None
    refused: str = ""


def dumped(value: Any, what: str) -> bytes:
    """As it is sent.

    Raises:
        UserError: if it cannot be; ``what`` says in words what it is.
    """
    from distributed.protocol.pickle import dumps

    try:
        content: bytes = dumps(value)
    except Exception as error:  # what cannot be pickled fails in any way
        raise UserError(
            f"{what} cannot be sent to a worker: {first_line(error)}.",
            "Run without workers, or name it instead of giving an object.",
        ) from error
    return content


def read(content: bytes, what: str) -> Any:
    """The inverse of :func:`dumped`, on a worker.

    Raises:
        UserError: if it cannot be read there.
    """
    try:
        return pickle.loads(content)
    except Exception as error:  # what is not importable here fails in any way
        raise UserError(
            f"{what} cannot be read on a worker: {type(error).__name__}: {first_line(error)}.",
            "Install there what is installed here, or give functions in the script itself.",
        ) from error


def packed(specs: Sequence[Spec]) -> tuple[Named | Spec, ...]:
    """The specs as they are sent: by name where they are registered, functions of the user's own as they are."""
    return tuple(_packed(spec) for spec in specs)


def unpacked(specs: Sequence[Named | Spec]) -> tuple[Spec, ...]:
    """The inverse of :func:`packed`, on a worker.

    Raises:
        UserError: if a plugin is not installed there, or another version of it is.
    """
    return tuple(spec if isinstance(spec, Spec) else _unpacked(spec) for spec in specs)


def _packed(spec: Spec) -> Named | Spec:
    plugin = spec.plugin
    if plugin.name in registry.names(plugin.kind) and registry.get(plugin.kind, plugin.name) is plugin:
        return Named(plugin.kind, plugin.name, plugin.distribution, spec.given)
    _ = plugin.distribution  # found out here, where the function is as the user gave it, and kept with the plugin
    return spec


def _unpacked(named: Named) -> Spec:
    plugin = registry.get(named.kind, named.name)
    if plugin.distribution != named.distribution:
        there, here = (" ".join(d) for d in (plugin.distribution, named.distribution))
        raise UserError(f"The {named.kind} {named.name!r} is of {there} there and of {here} here.")
    return Spec(plugin, named.given)
