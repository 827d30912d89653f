"""A plugin on trial: what checks of explainers and of metrics share."""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from xaibench.errors import Skipped, plural
from xaibench.explainers.explain import explain
from xaibench.registry import Spec
from xaibench.registry.traits import Traits

T = TypeVar("T", bound=Traits)
Check = Callable[[Any], str]  # of a trial; returns the finding in words, or raises


class CheckFailed(Exception):
    """The plugin does what it should not, in one sentence."""


class NoMap(CheckFailed):
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
class Trial(Generic[T]):
    """A plugin, and how many legal maps or values the checks had from it so far.

    Attributes:
        basic: the check without which other checks cannot look at anything.
        gives: what the plugin returns: a map or a value.
        spec: the plugin with its parameters.
        count: number of legal maps or values.
    """

    basic: ClassVar[str]
    gives: ClassVar[str]
    spec: Spec[T]
    count: int = 0

    @property
    def traits(self) -> T:
        """What the plugin declares about itself."""
        return self.spec.plugin.traits

    @property
    def total(self) -> str:
        """The number of legal maps or values, in words."""
        return plural(self.count, self.gives)


def some(trial: Trial[Any]) -> str:
    """The plugin gave a map or a value in some check: it did not skip all of them."""
    if not trial.count:
        raise NoMap(f"it gave no {trial.gives} in any check")
    return trial.total


@contextmanager
def running() -> Iterator[None]:
    """Around a call of the plugin, which may fail in any way at all.

    Raises:
        NoMap: if it raises; the message names the place.
        Skipped: if it cannot work here.
    """
    try:
        yield
    except (Skipped, NoMap):
        raise
    except Exception as error:
        raise NoMap(_located(error)) from error


def attempt_each(names: Iterable[str], attempt: Callable[[str], object]) -> list[Skipped]:
    """Attempt all names, also if the plugin skips one; returns what was skipped.

    Raises:
        NoMap: if an attempt gives nothing legal; the message names it.
    """
    skipped = []
    for name in names:
        try:
            attempt(name)
        except Skipped as reason:
            skipped.append(reason)
        except NoMap as error:
            raise NoMap(f"{name}: {error}") from error
    return skipped


def checks_in(module: Mapping[str, Any]) -> dict[str, Check]:
    """The checks of a module: its functions ``check_…``, by name and in their order."""
    checks = {name: value for name, value in module.items() if name.startswith("check_")}
    return {name.removeprefix("check_").replace("_", "-"): check for name, check in checks.items()}


def _located(error: Exception) -> str:
    """An exception in one line with the place that raised it, unless ``explain`` did, which names the method."""
    message = (str(error).splitlines() or [""])[0]
    *_, frame = traceback.extract_tb(error.__traceback__)
    place = "" if frame.filename == explain.__code__.co_filename else f" ({Path(frame.filename).name}:{frame.lineno})"
    return f"{type(error).__name__}: {message}{place}"
