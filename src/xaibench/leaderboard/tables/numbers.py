"""Numbers, intervals and lists as tables and sentences print them."""

import math
import re
from collections.abc import Sequence

EMPTY = "–"

_ROUNDING = 1e-12  # rounding error of a sum of floats; every measured quantity is larger


def number(x: float, *, bounded: bool = True, decimals: int = 2) -> str:
    """A number with the digits that a table needs: ``.71``, ``-.05``, ``1.3``; ``–`` for NaN.

    Args:
        x: the number.
        bounded: whether its range is finite. In an unbounded range a number that would round to zero is printed in
            scientific notation.
        decimals: of a number below ten.

    Example:
        >>> number(0.714), number(-0.05), number(12.34), number(1234.5), number(3e-9, bounded=False)
        ('.71', '-.05', '12.3', '1234', '3.0e-9')
        >>> number(6.4e-17, bounded=False)  # a rounding error of floats
        '.00'
    """
    if not math.isfinite(x):
        return EMPTY
    size = abs(x)
    if not bounded and _ROUNDING < size < 0.5 * 10**-decimals:
        mantissa, exponent = f"{x:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    text = f"{x:.{0 if size >= 99.95 else 1 if size >= 9.995 else decimals}f}"
    return re.sub(r"^-(?=0?\.?0*$)", "", text).replace("0.", ".", 1) if size < 0.995 else text


def with_interval(mean: float, low: float, high: float, *, bounded: bool = True) -> str:
    """``.71 [.68, .74]``, or the mean alone if the interval is NaN.

    Example:
        >>> with_interval(0.0093, 0.0081, 0.0101, bounded=False)  # with two decimals both ends would be .01
        '.009 [.008, .010]'
    """
    if not math.isfinite(low):
        return number(mean, bounded=bounded)
    # Two decimals would hide the size and the spread of small numbers such as .007 and .011.
    coarse = number(low) == number(high) and min(abs(low), abs(high)) >= 0.005 and abs(mean) < 0.05
    decimals = 3 if coarse and not bounded else 2
    texts = (number(v, bounded=bounded, decimals=decimals) for v in (mean, low, high))
    return "{} [{}, {}]".format(*texts)


def band(low: float, high: float) -> str:
    """``.47–.53``, or an empty text for NaN.

    Example:
        >>> band(0.47, 0.53), band(-0.02, 0.02), band(math.nan, math.nan)
        ('.47–.53', '-.02–.02', '')
    """
    return f"{number(low)}–{number(high)}" if math.isfinite(low) and math.isfinite(high) else ""


def probability(p: float) -> str:
    """A p-value: ``.031``, ``<.001``; ``–`` for NaN.

    Example:
        >>> probability(0.03125), probability(1e-6), probability(1.0), probability(math.nan)
        ('.031', '<.001', '1.000', '–')
    """
    if not math.isfinite(p):
        return EMPTY
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def listed(items: Sequence[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``.

    Args:
        items: one or more.
        last: the word before the last one.
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"
