"""Compilation by numba: decorators for kernels and for parts of them, and the types of their arrays.

Importing this module imports numba, which takes about half a second.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
T = TypeVar("T")
Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
UInt32 = NDArray[np.uint32]

_njit = partial(njit, fastmath={"contract", "nsz"}, nogil=True, error_model="numpy")


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Compile on the first call and cache the result beside the source, or else in the user's cache.

    If the folder cannot be written to, or the disk is full, each process compiles for itself.
    """
    try:
        kernel: Callable[P, T] = _njit(cache=True)(function)
    except RuntimeError:  # there is no folder for the cache
        kernel = _njit()(function)
        return kernel

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return kernel(*args, **kwargs)
        except OSError:  # compiled but not saved: a second call finds the kernel in memory
            return kernel(*args, **kwargs)

    return call


def inlined(function: Callable[P, T]) -> Callable[P, T]:
    """Compile into the callers; it must be in their file, because a change of the file outdates their cache."""
    part: Callable[P, T] = _njit(inline="always")(function)
    return part
