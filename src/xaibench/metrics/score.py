"""What a metric returns."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from xaibench.errors import Skipped

T = TypeVar("T")
Curve = tuple[tuple[float, ...], tuple[float, ...]]  # (x, y), equally long


@dataclass(frozen=True)
class Score:
    """One number, and the curve it was taken from where there is one.

    Attributes:
        value: the score, finite.
        curve: (x, y), equally long, or None.
        null: what the same map scores where it should score by chance, such as against masks that were turned round.
    """

    value: float
    curve: Curve | None = None
    null: tuple[float, ...] = ()


def as_curve(x: Iterable[float], y: Iterable[float]) -> Curve:
    """A curve from any numbers, such as arrays."""
    return tuple(map(float, x)), tuple(map(float, y))


def in_positions(compute: Callable[[T], float], positions: Iterable[T], curve: Curve | None = None) -> Score:
    """The score of a map against the vessels, and its null: what it scores against them in other positions.

    There is no null if the map has no score in one of these positions.

    Args:
        compute: the score against the vessels in one position.
        positions: the vessels as they are, and in other positions.
        curve: of the score.

    Raises:
        Skipped: if ``compute`` raises it for the vessels as they are.
    """
    home, *elsewhere = positions
    score = Score(compute(home), curve)
    with suppress(Skipped):
        return replace(score, null=tuple(map(compute, elsewhere)))
    return score
