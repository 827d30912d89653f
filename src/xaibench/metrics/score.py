"""What a metric returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One number, and the curve it was taken from where there is one.

    Attributes:
        value: the score, finite.
        curve: (x, y), equally long, or None.
        null: what the same map scores where it should score by chance, such as against masks that were turned round.
    """

    value: float
    curve: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    null: tuple[float, ...] = ()
