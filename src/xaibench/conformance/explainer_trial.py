"""An explainer on trial: calls it as a run does, and records what it returns and what it changes."""

import io
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from xaibench.conformance.explainer_subjects import dotted_case, scorer_of
from xaibench.conformance.trial import Trial, running, skip_if
from xaibench.data.case import Case
from xaibench.explainers.explain import explain
from xaibench.registry import ExplainerTraits
from xaibench.registry.injection import Function
from xaibench.running.sandbox.snapshot import Settings, same
from xaibench.scorer import Scorer


@dataclass(frozen=True)
class Limits:
    """The most that a map of a DRIVE-sized image may cost: wall time in s, memory in MB."""

    seconds: float = 60.0
    peak_mb: float = 1500.0


@dataclass
class ExplainerTrial(Trial[ExplainerTraits]):
    """An explainer and what the checks found so far.

    Attributes:
        limits: what a map of a DRIVE-sized image may not exceed; if None, its cost is only reported.
        changed: what its last call changed in its copy of the image and in the process; it is put back.
        random_states: digests of the states of the global generators of Python, NumPy and torch after the last call.
        lowest: the lowest value in any legal map.
        reproducible: whether the same seed gave the same map.
        output: the first line that was printed, or the first warning, while a map was made.
    """

    basic: ClassVar[str] = "shape-dtype-finite"
    gives: ClassVar[str] = "map"
    limits: Limits | None = None
    changed: list[str] = field(default_factory=list)
    random_states: dict[str, int] = field(default_factory=dict)
    lowest: float = 0.0
    reproducible: bool = True
    output: str = ""

    @property
    def is_declared(self) -> bool:
        """Whether it has the decorator; a plain function declares nothing."""
        return self.spec.plugin.family != "local"

    @cached_property
    def first(self) -> Tensor:
        """The map for a random network with seed 0."""
        return self.map()

    def require_reproducible(self) -> None:
        """Skip a check that compares maps if even equal calls give different ones."""
        skip_if(not self.reproducible, "not even the same seed gives the same map, see same-seed")

    def map(self, case: Case | None = None, scorer: Scorer | None = None, seed: int = 0) -> Tensor:
        """(H, W) map on the CPU.

        Args:
            case: the image; by default the one with dots.
            scorer: by default one of a random network for this case.
            seed: of the map.

        Raises:
            NoMap: if the method raises, or its map is not legal.
            Skipped: if the method cannot work here.
        """
        case = case or dotted_case()
        with running(), _capture_output(self.spec.plugin.function) as lines:
            scorer = scorer or scorer_of(case)
            map_ = explain(scorer, case.image, method=self.spec, seed=seed, case=case, watch=self._watch)
        self.count += 1
        self.output = self.output or next(iter(lines), "")
        self.lowest = min(self.lowest, float(map_.min()))
        return map_

    @contextmanager
    def _watch(self, image: Tensor) -> Iterator[None]:
        """Around the call of the method, given the copy of the image that the method gets."""
        before, settings = image.clone(), Settings()
        try:
            yield
        finally:
            self.changed = ["the image that it was given"] * (not same(image, before)) + settings.changed()
            settings.restore()
            _name, key, position, *normal = np.random.get_state()  # noqa: NPY002 - the global state is what counts
            self.random_states = {
                "Python's": hash(random.getstate()),
                "numpy's": hash((np.asarray(key).tobytes(), position, *normal)),
                "torch's": hash(torch.random.get_rng_state().numpy().tobytes()),
            }


@contextmanager
def _capture_output(function: Function) -> Iterator[list[str]]:
    """Collects what is printed, and warnings that Python shows by default, and hides them.

    A warning that an installed library raises in its own code, as captum does, is not the method's.
    """
    package = (getattr(function, "__module__", None) or type(function).__module__).partition(".")[0]
    printed, lines = io.StringIO(), list[str]()
    with redirect_stdout(printed), redirect_stderr(printed), warnings.catch_warnings(record=True) as warned:
        yield lines
    hidden = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
    lines += [line.strip() for line in printed.getvalue().splitlines() if line.strip()]
    for w in warned:
        parts = Path(w.filename).parts
        if not issubclass(w.category, hidden) and ("site-packages" not in parts or package in parts):
            lines.append(f"{w.category.__name__}: {w.message}")
