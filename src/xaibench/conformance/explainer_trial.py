"""An explainer on trial: calls it as a run does, and records what it returns and what it changes."""

import io
import random
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from xaibench.conformance.explainer_subjects import dotted_case, scorer_of
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.explainers.explain import explain
from xaibench.registry import ExplainerTraits, Spec
from xaibench.registry.injection import Function
from xaibench.running.sandbox.snapshot import same
from xaibench.scorer import Scorer


class CheckFailed(Exception):
    """The plugin does what it should not, in one sentence."""


class NoMap(Exception):
    """The plugin raised, or returned no legal map or score."""


def require(condition: object, otherwise: str) -> None:
    """Fail a check with that finding, unless the condition holds."""
    if not condition:
        raise CheckFailed(otherwise)


def skip_if(condition: object, reason: str) -> None:
    """Skip a check for that reason if the condition holds."""
    if condition:
        raise Skipped(reason)


@dataclass
class Trial:
    """An explainer and what the checks found so far.

    Attributes:
        spec: the method with its parameters.
        image_is_unchanged: whether its last call left its copy of the image as it was.
        grad_mode_is_unchanged: whether gradients are recorded after the last call if and only if they were before.
        random_states: digests of the states of the global generators of Python, NumPy and torch after the last call.
        maps: number of legal maps.
        lowest: the lowest value in any of them.
        reproducible: whether the same seed gave the same map.
        output: the first line that was printed, or the first warning, while a map was made.
    """

    basic: ClassVar[str] = "shape-dtype-finite"  # if it fails, other checks cannot look at anything
    spec: Spec[ExplainerTraits]
    image_is_unchanged: bool = True
    grad_mode_is_unchanged: bool = True
    random_states: dict[str, int] = field(default_factory=dict)
    maps: int = 0
    lowest: float = 0.0
    reproducible: bool = True
    output: str = ""

    @property
    def traits(self) -> ExplainerTraits:
        """What the method declares about itself."""
        return self.spec.plugin.traits

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
        gradients = torch.is_grad_enabled()
        try:
            with _capture_output(self.spec.plugin.function) as lines:
                scorer = scorer or scorer_of(case)
                map_ = explain(scorer, case.image, method=self.spec, seed=seed, case=case, watch=self._watch)
        except Skipped:
            raise
        except Exception as error:  # a third party's method may fail in any way at all
            raise NoMap(located(error)) from error
        finally:
            torch.set_grad_enabled(gradients)  # for the checks that follow
        self.maps += 1
        self.output = self.output or next(iter(lines), "")
        self.lowest = min(self.lowest, float(map_.min()))
        return map_

    @contextmanager
    def _watch(self, image: Tensor) -> Iterator[None]:
        """Around the call of the method, given the copy of the image that the method gets."""
        before, gradients = image.clone(), torch.is_grad_enabled()
        try:
            yield
        finally:
            self.image_is_unchanged = same(image, before)
            self.grad_mode_is_unchanged = torch.is_grad_enabled() == gradients
            _name, key, position, *normal = np.random.get_state()  # noqa: NPY002 - the global state is what counts
            self.random_states = {
                "Python's": hash(random.getstate()),
                "numpy's": hash((np.asarray(key).tobytes(), position, *normal)),
                "torch's": hash(torch.random.get_rng_state().numpy().tobytes()),
            }

    def each(self, subjects: Mapping[str, tuple[Case, Scorer]]) -> None:
        """Make a map of every subject, also if the method skips one.

        Raises:
            NoMap: if a subject has no legal map; the message names it.
            Skipped: if the method skipped any subject.
        """
        skipped: Skipped | None = None
        for name, (case, scorer) in subjects.items():
            try:
                self.map(case, scorer)
            except Skipped as reason:
                skipped = reason
            except NoMap as error:
                raise NoMap(f"{name}: {error}") from error
        if skipped is not None:
            raise skipped


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


def located(error: Exception) -> str:
    """An exception in one line with the place that raised it, unless ``explain`` did, which names the method."""
    message = (str(error).splitlines() or [""])[0]
    *_, frame = traceback.extract_tb(error.__traceback__)
    place = "" if frame.filename == explain.__code__.co_filename else f" ({Path(frame.filename).name}:{frame.lineno})"
    return f"{type(error).__name__}: {message}{place}"
