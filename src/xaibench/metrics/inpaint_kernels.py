"""Compiled sweeps of :mod:`xaibench.metrics.inpaint_grids` over the unknowns of one grid.

A grid is flattened to (rows × cols, 3), with a border of zeros and the channels of a point side by side. A kernel walks
a list of each row's unknowns, so that few unknowns cost little, and does all it can with a row while it is in the
cache. Everything is single-threaded and added up in a fixed order: the same input gives the same bits.

Positions are unsigned, which spares a test for negative ones at each access.

Importing this module imports numba, which takes about half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numba import njit

_OPTIONS = {"fastmath": {"contract", "nsz"}, "nogil": True, "error_model": "numpy"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on the first call and keep the result beside the source, or else in the user's cache.

    A folder that can't be written to, or is full, is no error: then every process compiles for itself.
    """
    try:
        kernel = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # there is no folder for it
        return njit(**_OPTIONS)(function)  # type: ignore[no-any-return]

    @wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return kernel(*arguments)
        except OSError:  # compiled, but not saved: a second call finds it in memory
            return kernel(*arguments)

    return call


_inner = njit(inline="always", **_OPTIONS)


@_inner
def _from_picture(x: Any, i: Any, cols: Any, c: int) -> Any:
    """The weighted sum of the eight neighbours, edge 2 and corner 1."""
    one = np.uint64(1)
    north, south = i - cols, i + cols
    edges = (x[north, c] + x[south, c]) + (x[i + one, c] + x[i - one, c])
    corners = (x[north - one, c] + x[north + one, c]) + (x[south - one, c] + x[south + one, c])
    return np.float32(2) * edges + corners


@_inner
def _from_coarse(x: Any, f: Any, coupling: Any, k: int, i: Any, cols: Any, c: int) -> Any:
    """The right-hand side and what the eight neighbours add to it."""
    one = np.uint64(1)
    north, south = i - cols, i + cols
    above = coupling[k, 0] * x[north - one, c] + coupling[k, 1] * x[north, c] + coupling[k, 2] * x[north + one, c]
    beside = coupling[k, 3] * x[i - one, c] + coupling[k, 4] * x[i + one, c]
    below = coupling[k, 5] * x[south - one, c] + coupling[k, 6] * x[south, c] + coupling[k, 7] * x[south + one, c]
    return f[i, c] + above + (beside + below)


@_inner
def _restrict_row(residuals: Any, row: int, starts: Any, index: Any, cols: int, out: Any, line: Any) -> None:
    """One coarse row of Pᵀ r; ``residuals`` (3, fine cols, 3) holds fine row y at y modulo 3, ``line`` is scratch."""
    half = np.float32(0.5)
    u, m, d = residuals[(2 * row - 2) % 3], residuals[(2 * row - 1) % 3], residuals[2 * row % 3]
    for j in range(line.shape[0]):
        for c in range(3):
            line[j, c] = m[j, c] + half * (u[j, c] + d[j, c])
    for k in range(starts[row], starts[row + 1]):
        i = np.uint64(index[k])
        right = np.uint64(2) * (i - np.uint64(row * cols))
        at = right - np.uint64(1)
        left = right - np.uint64(2)
        for c in range(3):
            out[i, c] = line[at, c] + half * (line[left, c] + line[right, c])


@_inner
def _prolong_row(coarse: Any, coarse_cols: int, row: int, starts: Any, index: Any, cols: int, x: Any, line: Any) -> None:
    """Add one fine row of P times ``coarse`` to x; ``line`` (coarse cols, 3) is scratch."""
    half, one = np.float32(0.5), np.uint64(1)
    if starts[row] == starts[row + 1]:
        return
    above, below = (row + 1) // 2 * coarse_cols, (row // 2 + 1) * coarse_cols
    for j in range(coarse_cols):
        for c in range(3):
            line[j, c] = half * (coarse[above + j, c] + coarse[below + j, c])
    for k in range(starts[row], starts[row + 1]):
        i = np.uint64(index[k])
        column = i - np.uint64(row * cols)
        left, right = (column + one) >> one, (column >> one) + one
        for c in range(3):
            x[i, c] += half * (line[left, c] + line[right, c])


@compiled
def down_picture(
    x: Any, starts: Any, index: Any, diagonal: Any, inverse: Any, cols: int, below_starts: Any, below_index: Any,
    below_cols: int, below_f: Any,
) -> None:  # fmt: skip
    """Relax each unknown pixel once, then restrict the residual to ``below_f``.

    Args:
        x: (n, 3) float32, the picture, known pixels included; changed in place.
        starts, index, diagonal, inverse: see :func:`xaibench.metrics.inpaint_setup.list_picture`.
        cols: columns of the grid.
        below_starts, below_index, below_cols: the same of the coarse grid.
        below_f: (coarse n, 3) float32 out, at the coarse unknowns.
    """
    rows, width = starts.size - 1, np.uint64(cols)
    residuals = np.zeros((3, cols, 3), np.float32)
    line = np.empty((cols, 3), np.float32)
    for y in range(1, rows + 1):
        if y < rows:
            for k in range(starts[y], starts[y + 1]):
                i, w = np.uint64(index[k]), inverse[k]
                for c in range(3):
                    x[i, c] = w * _from_picture(x, i, width, c)
        done = y - 1
        residual = residuals[done % 3]
        residual[:] = 0
        for k in range(starts[done], starts[y]):
            i, a = np.uint64(index[k]), diagonal[k]
            j = i - np.uint64(done * cols)
            for c in range(3):
                residual[j, c] = _from_picture(x, i, width, c) - a * x[i, c]
        if done % 2 == 0 and done > 0:
            _restrict_row(residuals, done // 2, below_starts, below_index, below_cols, below_f, line)


@compiled
def down_coarse(
    x: Any, f: Any, starts: Any, index: Any, diagonal: Any, inverse: Any, coupling: Any, cols: int, below_starts: Any,
    below_index: Any, below_cols: int, below_f: Any,
) -> None:  # fmt: skip
    """The same on a coarse grid with right-hand side f and the couplings of its neighbours."""
    rows, width = starts.size - 1, np.uint64(cols)
    residuals = np.zeros((3, cols, 3), np.float32)
    line = np.empty((cols, 3), np.float32)
    for y in range(1, rows + 1):
        if y < rows:
            for k in range(starts[y], starts[y + 1]):
                i, w = np.uint64(index[k]), inverse[k]
                for c in range(3):
                    x[i, c] = w * _from_coarse(x, f, coupling, k, i, width, c)
        done = y - 1
        residual = residuals[done % 3]
        residual[:] = 0
        for k in range(starts[done], starts[y]):
            i, a = np.uint64(index[k]), diagonal[k]
            j = i - np.uint64(done * cols)
            for c in range(3):
                residual[j, c] = _from_coarse(x, f, coupling, k, i, width, c) - a * x[i, c]
        if done % 2 == 0 and done > 0:
            _restrict_row(residuals, done // 2, below_starts, below_index, below_cols, below_f, line)


@compiled
def up_picture(
    below_x: Any, below_cols: int, x: Any, previous: Any, starts: Any, index: Any, inverse: Any, cols: int
) -> float:
    """Add the coarse correction, relax once more, and compare with the end of the previous cycle.

    Args:
        previous: (unknowns, 3) float32, in the order of the list; changed in place.

    Returns:
        The greatest change of a value since.
    """
    rows, width = starts.size - 1, np.uint64(cols)
    line = np.empty((below_cols, 3), np.float32)
    red, green, blue = np.float32(0), np.float32(0), np.float32(0)
    for y in range(1, rows + 1):
        if y < rows:
            _prolong_row(below_x, below_cols, y, starts, index, cols, x, line)
        for k in range(starts[y - 1], starts[y]):
            i, w = np.uint64(index[k]), inverse[k]
            r = w * _from_picture(x, i, width, 0)
            g = w * _from_picture(x, i, width, 1)
            b = w * _from_picture(x, i, width, 2)
            red = max(red, abs(r - previous[k, 0]))
            green = max(green, abs(g - previous[k, 1]))
            blue = max(blue, abs(b - previous[k, 2]))
            x[i, 0], x[i, 1], x[i, 2] = r, g, b
            previous[k, 0], previous[k, 1], previous[k, 2] = r, g, b
    return max(red, green, blue)


@compiled
def up_coarse(
    below_x: Any, below_cols: int, x: Any, f: Any, starts: Any, index: Any, inverse: Any, coupling: Any, cols: int
) -> None:
    """Add the coarser correction and relax once more."""
    rows, width = starts.size - 1, np.uint64(cols)
    line = np.empty((below_cols, 3), np.float32)
    for y in range(1, rows + 1):
        if y < rows:
            _prolong_row(below_x, below_cols, y, starts, index, cols, x, line)
        for k in range(starts[y - 1], starts[y]):
            i, w = np.uint64(index[k]), inverse[k]
            for c in range(3):
                x[i, c] = w * _from_coarse(x, f, coupling, k, i, width, c)
