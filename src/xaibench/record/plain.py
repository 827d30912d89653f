"""JSON that somebody else may have written: read strictly, each value held against what it should be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from xaibench.errors import one_line

_NUMBERS = {int, float}
LARGEST = 1e100  # of a number; sums and squares of larger ones are no numbers any more
LONGEST = 10_000  # characters of a text


def parse(content: bytes) -> Any:
    """The value of a JSON document.

    Raises:
        ValueError: if it is none, has numbers that JSON has not, or is nested as only what shall break a reader is.
    """
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}, which is no JSON")


def mapping(value: Any) -> Mapping[str, Any]:
    """An object of JSON; ValueError for anything else."""
    if not isinstance(value, dict):
        raise ValueError("it is not laid out as a record")
    return value


def items(data: Mapping[str, Any], name: str, most: int | None = None) -> Sequence[Any]:
    """The list under a name; ValueError if there is none, or it has more than ``most`` values."""
    value = _there(data, name)
    if not isinstance(value, list) or (most is not None and len(value) > most):
        raise ValueError(f"its field {name} is no list" + (f" of {most} values at most" if most is not None else ""))
    return value


def text(data: Mapping[str, Any], name: str) -> str:
    """The text under a name, printable; ValueError if there is none."""
    value = _there(data, name)
    if not isinstance(value, str) or not value.isprintable() or len(value) > LONGEST:
        raise ValueError(f"its field {name} is no text of one line")
    return value


def texts(data: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """As :func:`text` of each name, checked in one go: a run has a hundred thousand of them."""
    try:
        values = [data[name] for name in names]
        together = "".join(values)
    except (KeyError, TypeError):
        together = "\n"
    if together.isprintable() and len(together) <= LONGEST:
        return values
    return [text(data, name) for name in names]  # which names the one that is none


def words(data: Mapping[str, Any], name: str) -> str:
    """As :func:`text`, of what may hold somebody else's words: made printable."""
    value = _there(data, name)
    if not isinstance(value, str):
        raise ValueError(f"its field {name} is no text")
    return one_line(value[:LONGEST]) if value else value


def file_name(data: Mapping[str, Any], name: str) -> str:
    """The text under a name, of which the name of a file is made; ValueError if it could lead out of a folder."""
    value = text(data, name)
    if value.startswith(".") or not value or "/" in value or "\\" in value or len(value) > 100:
        raise ValueError(f"its field {name} is no key")
    return value


def flag(data: Mapping[str, Any], name: str) -> bool:
    """True or false under a name; ValueError for anything else."""
    value = _there(data, name)
    if not isinstance(value, bool):
        raise ValueError(f"its field {name} is neither true nor false")
    return value


def number(data: Mapping[str, Any], name: str) -> float:
    """The finite number under a name; ValueError if there is none."""
    return finite(_there(data, name), name)


def number_or(data: Mapping[str, Any], name: str, default: float | None) -> Any:
    """As :func:`number`, with a default where it is null."""
    value = data.get(name, ...)
    if type(value) is float and -LARGEST <= value <= LARGEST:
        return value
    return default if _there(data, name) is None else number(data, name)


def whole(data: Mapping[str, Any], name: str) -> int:
    """The whole number from 0 to 2⁶⁴ under a name; ValueError if there is none."""
    value = _there(data, name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**64:
        raise ValueError(f"its field {name} is no whole number of 0 or more")
    return value


def finite(value: Any, name: str) -> float:
    """The value as a finite number of a size that can be computed with; ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise ValueError(f"its field {name} is no finite number")
    return float(value)


def numbers(data: Mapping[str, Any], name: str, most: int | None = None, *, gaps: bool = False) -> list[float]:
    """The list of finite numbers under a name; ValueError if there is none.

    Args:
        data: where.
        name: of the list.
        most: how many there may be.
        gaps: whether null stands for NaN.
    """
    values = items(data, name, most)
    if all_finite(values):
        return list(map(float, values))
    return [math.nan if gaps and value is None else finite(value, name) for value in values]


def all_finite(values: Sequence[Any]) -> bool:
    """Whether all are finite numbers of a size that can be computed with; without a step of Python for each."""
    return not values or (
        set(map(type, values)) <= _NUMBERS and max(map(abs, values)) <= LARGEST and math.isfinite(sum(values))
    )


def _there(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise ValueError(f"it has no field {name!r}")
    return data[name]
