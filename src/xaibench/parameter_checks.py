"""Refusing hyper-parameters that make no sense, by their names."""

import math

from xaibench.errors import UserError


def at_least(least: int, name: str, value: int) -> None:
    """Refuses a number of samples, pixels … that is too small."""
    if value < least:
        raise UserError(f"{name}={value} is too few.", f"Give at least {least}.")


def above_zero(name: str, value: float) -> None:
    """Refuses a length or strength that is not positive, or not finite."""
    if not 0 < value < math.inf:
        raise UserError(f"{name}={value} is not positive.", "Give a positive number.")


def open_unit(name: str, value: float) -> None:
    """Refuses a share that is not between 0 and 1."""
    if not 0 < value < 1:
        raise UserError(f"{name}={value} is outside (0, 1).", "Give a share between 0 and 1.")
