"""Linear imputation: each removed pixel is the weighted mean of its eight neighbours, one sparse system per image.

The system is a Laplace equation with weights 1/6 (edge) and 1/12 (diagonal), solved by the compiled multigrid cycles of
:mod:`xaibench.imputation.multigrid.grids`. Each cycle reduces the error about twentyfold, whether the removed pixels
are scattered, thin, one blob, or all but one. In a fragmented domain the cycles converge more slowly, and a sparse
factorisation replaces them. The result does not depend on the number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

if TYPE_CHECKING:
    from xaibench.imputation.multigrid.grids import Grids

_MAX_CYCLES = 20
_SLOW = 0.3  # share of the error left by a cycle from which on a direct solution is faster
_SAFETY = 1.25  # factor by which the error may exceed that of a geometric series of changes
_FRAGMENTED = 0.1  # share of unknown pixels with a neighbour outside the domain from which on it counts as fragmented


def solve_inpaint(
    image: np.ndarray,
    removed: np.ndarray,
    domain: np.ndarray,
    *,
    tolerance: float = 1e-4,
    parts: np.ndarray | None = None,
) -> np.ndarray:
    """Replace removed pixels by the weighted mean of their neighbours, all at once.

    Each removed pixel equals the mean of its neighbours inside the domain, with weights 1/6 for those at an edge and
    1/12 for those at a corner, renormalised where some lie outside. This is the linear imputation of
    ROAD [rong2022] without its noise. Imputed values lie between the least and the greatest known value.

    A connected part of the domain that is removed entirely becomes the mean of the original image over the domain, per
    channel.

    Args:
        image: (3, H, W) float32, the original image.
        removed: (H, W) bool; pixels outside the domain are never changed.
        domain: (H, W) bool, the pixels that belong to the image.
        tolerance: the largest error allowed, in image units, apart from the rounding of float32.
        parts: :func:`connected_parts` of the domain, if they are known from an earlier call.

    Returns:
        (3, H, W) float32, equal to the image outside ``removed & domain``.

    Raises:
        ArithmeticError: if a known pixel near removed ones is infinite or NaN.

    Example:
        >>> ramp = np.broadcast_to(np.linspace(0, 1, 9, dtype=np.float32), (3, 9, 9)).copy()
        >>> hole = np.zeros((9, 9), bool); hole[3:6, 3:6] = True
        >>> filled = solve_inpaint(np.where(hole, 0, ramp).astype(np.float32), hole, np.ones((9, 9), bool))
        >>> bool(np.abs(filled - ramp).max() < 1e-4)
        True
    """
    removed = removed & domain
    result = np.array(image, np.float32, order="C")
    if not removed.any():
        return result
    known = domain & ~removed
    parts = connected_parts(domain) if parts is None else parts
    count = int(parts.max())
    unknown = removed
    if count > 1 or not known.any():
        seen = np.zeros(count + 1, bool)
        seen[parts[known]] = True
        unknown = removed & seen[parts]
        lost = removed & ~unknown
        if lost.any():
            result[:, lost] = result[:, domain].mean(1, dtype=np.float64, keepdims=True)
        if not unknown.any():
            return result
    box = _bounding_box(unknown)
    here, known = np.ascontiguousarray(unknown[box]), np.ascontiguousarray(known[box])
    from xaibench.imputation.multigrid.grids import Grids  # here, because it compiles or loads compiled code

    grids = Grids(result, here, known, (box[0].start, box[1].start))
    if not np.isfinite(grids.mean).all():
        raise ArithmeticError("the imputation rests on values that are no numbers")
    if grids.cut <= _FRAGMENTED and _converges(grids, tolerance):
        grids.store(result)
    else:
        result[:, unknown] = _solve_directly(result[:, *box], here, known)
    return result


def connected_parts(domain: np.ndarray) -> np.ndarray:
    """(H, W) int, 0 outside the domain and 1, 2, … in its parts, each connected by edges or corners."""
    parts: np.ndarray = ndimage.label(domain, np.ones((3, 3)))[0]
    return parts


def _converges(grids: Grids, tolerance: float) -> bool:
    """Cycle until the remaining error is within the tolerance; False if convergence is slow.

    The changes form a geometric series. Its remainder follows from the last change and the larger of the last two
    rates.
    """
    before, rates = 0.0, [_SLOW]  # the first change says nothing about the rate
    for _ in range(_MAX_CYCLES):
        change = grids.cycle()
        if before > 0:
            rates.append(change / before)
        rate = max(rates[-2:])
        if rate > _SLOW:
            return False
        if change * rate / (1 - rate) * _SAFETY <= tolerance:
            return True
        before = change
    return False


def _solve_directly(image: np.ndarray, unknown: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(3, n) float64, the values of the unknown pixels from a factorisation of the sparse matrix."""
    number = np.full(np.add(unknown.shape, 2), -1)
    number[1:-1, 1:-1][unknown] = np.arange(np.count_nonzero(unknown))
    exists = np.pad(known, 1)
    padded = np.pad(np.where(known, image, 0).astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    y, x = np.nonzero(number >= 0)
    diagonal, right = np.zeros(len(y)), np.zeros((3, len(y)))
    rows, cols, values = [], [], []
    for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        there, weight = (y + dy, x + dx), 1 if dy and dx else 2
        pairs = np.flatnonzero(number[there] >= 0)
        rows.append(pairs)
        cols.append(number[there][pairs])
        values.append(np.full(len(pairs), -weight))
        diagonal += weight * (exists[there] | (number[there] >= 0))
        right += weight * padded[:, *there]
    positions = (np.concatenate([*rows, np.arange(len(y))]), np.concatenate([*cols, np.arange(len(y))]))
    matrix = sparse.csc_matrix((np.concatenate([*values, diagonal]), positions))
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True})
    solution: np.ndarray = factors.solve(right.T).T
    return solution


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a mask and one more on each side."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(max(int(rows[0]) - 1, 0), int(rows[-1]) + 2), slice(max(int(cols[0]) - 1, 0), int(cols[-1]) + 2)
