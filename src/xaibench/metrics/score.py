"""What a metric returns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


def null_of(compute: Callable[[T], float], positions: Iterable[T]) -> tuple[float, ...]:
    """The scores of a map against the vessels in other positions; none if it has no score in one of them."""
    try:
        return tuple(map(compute, positions))
    except Skipped:
        return ()
