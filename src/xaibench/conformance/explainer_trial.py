"""Calling a method as a run does, and seeing what it gives and what it does to what it was given."""

from __future__ import annotations

import io
import random
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from xaibench.conformance.explainer_subjects import picture, random_network, scorer_of
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.explainers.explain import explain
from xaibench.registry import ExplainerTraits, Spec
from xaibench.running.sandbox.snapshot import same
from xaibench.scorer import Scorer


class CheckFailed(Exception):
    """What a method does that it should not, in one sentence."""


class NoMap(Exception):
    """The method raised, or what it returned is no legal map."""


@dataclass
class Seen:
    """What one call of a method showed.

    Attributes:
        image_kept: whether the image that it was given is as it was.
        gradients_kept: whether gradients are recorded after it if and only if they were before.
        chance: digests of the states of Python's, numpy's and torch's global generators after it.
    """

    image_kept: bool = True
    gradients_kept: bool = True
    chance: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def watch(self, image: Tensor) -> Iterator[None]:
        """Around the call of the method, given the copy of the image that the method gets."""
        before, gradients = image.clone(), torch.is_grad_enabled()
        try:
            yield
        finally:
            self.image_kept = same(image, before)
            self.gradients_kept = torch.is_grad_enabled() == gradients
            self.chance = _chance()


@dataclass
class Trial:
    """A method that is held against the checks.

    Attributes:
        spec: the method with its parameters.
        seen: what its last call showed.
        maps: how many legal maps it gave.
        lowest: the lowest value in any of them.
        reproducible: whether the same seed gave the same map.
        said: the first words that were printed, or that warned, while it gave a map.
    """

    basic: ClassVar[str] = "shape-dtype-finite"  # what no other check can go without
    spec: Spec[ExplainerTraits]
    seen: Seen = field(default_factory=Seen)
    maps: int = 0
    lowest: float = 0.0
    reproducible: bool = True
    said: str = ""

    @property
    def traits(self) -> ExplainerTraits:
        """What the method declares about itself."""
        return self.spec.plugin.traits

    @property
    def declares(self) -> bool:
        """Whether it has the decorator; a plain function declares nothing."""
        return self.spec.plugin.family != "local"

    @property
    def takes_case(self) -> bool:
        """Whether the function has a parameter for the labels."""
        return self.spec.plugin.injection.takes("case")

    @cached_property
    def first(self) -> Tensor:
        """The map of the picture for a random network with seed 0."""
        case = picture()
        return self.map(scorer_of(random_network(), case), case)

    def map(self, scorer: Scorer, case: Case, seed: int = 0) -> Tensor:
        """(H, W) map on the CPU.

        Raises:
            NoMap: if the method raises, or its map is not legal.
            Skipped: if the method says that it cannot work here.
        """
        seen = self.seen = Seen()
        gradients = torch.is_grad_enabled()
        try:
            with _heard(self.spec.plugin.function) as words:
                map_ = explain(scorer, case.image, method=self.spec, seed=seed, case=case, watch=seen.watch)
        except Skipped:
            raise
        except Exception as error:  # a third party's method may fail in any way at all
            raise NoMap(told(error)) from error
        finally:
            torch.set_grad_enabled(gradients)  # for the checks that follow
        self.maps += 1
        self.said = self.said or next(iter(words), "")
        self.lowest = min(self.lowest, float(map_.min()))
        return map_

    def each(self, subjects: dict[str, tuple[Scorer, Case]]) -> None:
        """Make a map of every subject.

        Raises:
            NoMap: if one of them has none.
            Skipped: if the method says of one of them that it cannot work there, when all others were tried.
        """
        skipped: Skipped | None = None
        for name, (scorer, case) in subjects.items():
            try:
                self.map(scorer, case)
            except Skipped as reason:
                skipped = reason
                continue
            except NoMap as error:
                raise NoMap(f"{name}: {error}") from error
        if skipped is not None:
            raise skipped


@contextmanager
def _heard(function: Callable[..., Any]) -> Iterator[list[str]]:
    """Collects what is printed, and warnings that Python shows by default; nothing of it comes through.

    A warning that an installed library raises in its own code, as captum does, is not the method's.
    """
    package = (getattr(function, "__module__", None) or type(function).__module__).partition(".")[0]
    printed, words = io.StringIO(), list[str]()
    with redirect_stdout(printed), redirect_stderr(printed), warnings.catch_warnings(record=True) as warned:
        yield words
    hidden = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
    words += [line.strip() for line in printed.getvalue().splitlines() if line.strip()]
    for w in warned:
        parts = Path(w.filename).parts
        if not issubclass(w.category, hidden) and ("site-packages" not in parts or package in parts):
            words.append(f"{w.category.__name__}: {w.message}")


def _chance() -> dict[str, int]:
    _name, key, position, *normal = np.random.get_state()  # noqa: NPY002 - it is the global state that is asked for
    return {
        "Python's": hash(random.getstate()),
        "numpy's": hash((np.asarray(key).tobytes(), position, *normal)),
        "torch's": hash(torch.random.get_rng_state().numpy().tobytes()),
    }


def told(error: Exception) -> str:
    """What was raised, in one line, and where; ``explain`` alone says of a map that it is not legal."""
    message = (str(error).splitlines() or [""])[0]
    *_, frame = traceback.extract_tb(error.__traceback__)
    place = "" if frame.filename == explain.__code__.co_filename else f" ({Path(frame.filename).name}:{frame.lineno})"
    return f"{type(error).__name__}: {message}{place}"
