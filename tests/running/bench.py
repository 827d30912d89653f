"""Runs of made-up methods on made-up eyes, in this process or on workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from made_up import GreenFilter, draw_eye
from msgspec import structs
from torch import nn

from xaibench.data.case import Case
from xaibench.data.cases import Cases
from xaibench.models.weights_file import weights_digest
from xaibench.record.schema import Record
from xaibench.record.store import Store
from xaibench.registry import Plugin, Spec, metric, parse
from xaibench.running.cluster import Cluster
from xaibench.running.dask.submit import distribute
from xaibench.running.events import Event, Listener, Step
from xaibench.running.execute import execute
from xaibench.running.plan import Setting
from xaibench.running.request import Request
from xaibench.running.resolve import Run

TIMES = ("seconds", "peak-mb")


def eyes(names: str = "01") -> Cases:
    """Made-up eyes, each named by a digit."""
    return Cases("mine", "test", tuple(names), lambda i: draw_eye(image_seed=int(i), id=i))


def raising(error: BaseException) -> Callable[..., None]:
    """What raises it, whatever it is given."""

    def do(*_: Any) -> None:
        raise error

    return do


def own_metric(name: str, compute: Callable[[np.ndarray, Case, Any], Any]) -> Plugin:
    def score(attribution: np.ndarray, case: Case, scorer: Any) -> Any:
        return compute(attribution, case, scorer)

    return metric(name, family="overlap", better="higher", range=(0, 1))(score)


@dataclass
class Bench:
    """A run that can be asked again for something else.

    Attributes:
        store: where it is kept.
        metrics: of a run that asks for no others.
        model, cases: of a run that asks for no others.
        cluster: where to compute; None for this process.
        events: of the last run.
        say: called with a run's sentences.
    """

    store: Store
    metrics: Sequence[Any] = ("auroc-vessels",)
    model: nn.Module = field(default_factory=lambda: GreenFilter(0.4, 8.0))
    cases: Cases = field(default_factory=eyes)
    cluster: Cluster | None = None
    events: list[Event] = field(default_factory=list)
    say: Callable[[str], object] = lambda sentence: None

    def run(
        self,
        *methods: Any,
        metrics: Sequence[Any] | None = None,
        cases: Cases | None = None,
        setting: dict[str, Any] | None = None,
        **options: Any,
    ) -> Run:
        specs = [m if isinstance(m, Spec) else parse("explainer", m) for m in methods]
        scores = tuple(parse("metric", m) for m in (self.metrics if metrics is None else metrics))
        usual = Setting("mine", "test", "net", weights_digest(self.model), "vessels", 0, scores)
        asked, request = replace(usual, **setting or {}), Request(**{"device": "cpu"} | options)
        return Run(cases or self.cases, specs, self.model, asked, self.store, request)

    def __call__(
        self,
        *methods: Any,
        watch: Callable[[Step], object] = lambda step: None,
        report: Callable[[Event], object] = lambda event: None,
        **asked: Any,
    ) -> int:
        self.events.clear()
        listener = Listener(lambda event: (self.events.append(event), report(event)), watch, self.say)
        run = self.run(*methods, **asked)
        return execute(run, listener) if self.cluster is None else distribute(run, self.cluster, listener)

    def beside(self, name: str, **changed: Any) -> Bench:
        """The same in another folder."""
        return replace(self, store=Store(self.store.root.with_name(name)), events=[], **changed)

    def records(self) -> dict[tuple[str, str], Record]:
        return {(r.spec, r.case): r for r in self.store.records()}

    def scores(self, spec: str, case: str = "0") -> dict[str, Any]:
        return {s.metric: s for s in self.records()[spec, case].scores}

    def statuses(self) -> list[str]:
        return [e.status for e in self.events]

    def content(self, methods: Sequence[str] = (), metrics: Sequence[str] = ()) -> dict[str, Any]:
        """Every record and map, of these methods and metrics if any are named, but for what is never the same twice."""
        found: dict[str, Any] = {}
        for record in self.store.records():
            if not methods or record.spec in methods:
                named = [s for s in record.scores if s.metric not in TIMES and (not metrics or s.metric in metrics)]
                kept = self.store.load_map(record.map_key)
                same = structs.replace(record, seconds=0, peak_mb=0, scores=named)
                found[record.map_key] = same, None if kept is None else kept.tobytes()
        return found
