"""Linear imputation: removed pixels as the weighted mean of their eight neighbours, one sparse system over the grid.

The system is a Laplace equation with weights 1/6 (edge) and 1/12 (diagonal), solved by the compiled multigrid cycles of
:mod:`xaibench.metrics.inpaint_grids`. Each makes the error some twenty times smaller, be the removed pixels scattered,
thin, one blob, or all but one; where the domain itself is in shreds and they do worse, cycles are extrapolated.

The result does not depend on thread counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from xaibench.metrics.inpaint_grids import Grids

_MAX_CYCLES = 100
_SAFETY = 1.25  # how much further off than the last change suggests the values may be
_SLOW = 0.3  # what a cycle leaves of the error, from which on extrapolation pays
_CAUTION = 20  # the last change of a slow iteration is to be so many times below the tolerance
_MEMORY = 10  # cycles that an extrapolation rests on


def solve_inpaint(image: np.ndarray, removed: np.ndarray, domain: np.ndarray, *, tolerance: float = 1e-4) -> np.ndarray:
    """Replace removed pixels by the weighted mean of their neighbours, all at once.

    Each removed pixel equals the mean of its neighbours inside the domain, with weights 1/6 for those that share an
    edge and 1/12 for those that share a corner, renormalised where some lie outside. This is the linear imputation of
    ROAD (Rong et al. 2022) without its noise. Imputed values lie between the least and the greatest known value.

    Where a connected part of the domain is removed entirely nothing is known of it: it becomes the mean of the
    original image over the domain, per channel.

    Args:
        image: (3, H, W) float32, the original picture.
        removed: (H, W) bool; pixels outside the domain are never changed.
        domain: (H, W) bool, the pixels that are part of the picture.
        tolerance: the greatest error, in image units, that may be left; the rounding of float32 comes on top.

    Returns:
        (3, H, W) float32, equal to the image outside ``removed & domain``.

    Raises:
        ArithmeticError: if the iteration does not reach the tolerance.

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
    parts, count = ndimage.label(domain, np.ones((3, 3)))
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
    from xaibench.metrics.inpaint_grids import Grids  # compiles, or reads what was compiled

    crop = np.ascontiguousarray(result[:, *box])
    grids = Grids(crop, np.ascontiguousarray(unknown[box]), np.ascontiguousarray(known[box]))
    if not _iterate(grids, tolerance):
        raise ArithmeticError(f"the imputation of {unknown.sum()} pixels did not converge in {_MAX_CYCLES} cycles")
    grids.store(crop)
    result[:, *box] = crop
    return result


def _iterate(grids: Grids, tolerance: float) -> bool:
    """Cycle until the error that is left, a geometric series of changes, is within the tolerance; False if it won't."""
    before = np.inf
    for cycles in range(1, _MAX_CYCLES + 1):
        change = grids.cycle()
        rate = change / before if cycles > 1 else _SLOW
        if rate < 1 and change * rate / (1 - rate) * _SAFETY <= tolerance:
            return True
        if rate > _SLOW:
            return _extrapolate(grids, tolerance, _MAX_CYCLES - cycles)
        before = change
    return False


def _extrapolate(grids: Grids, tolerance: float, cycles: int) -> bool:
    """Cycle on, each time from the mixture of the last results that changes least (Anderson 1965, Walker & Ni 2011)."""
    start = grids.previous.copy()
    ends: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    for _ in range(cycles):
        if grids.cycle() <= tolerance / _CAUTION:
            return True
        ends = [*ends[-_MEMORY:], grids.previous.copy()]
        changes = [*changes[-_MEMORY:], ends[-1] - start]
        start = ends[-1].copy()
        if len(ends) > 1:
            for channel in range(3):
                last = changes[-1][:, channel].astype(np.float64)
                steps = np.stack([last - earlier[:, channel] for earlier in changes[:-1]])
                weights = np.linalg.lstsq(steps @ steps.T, steps @ last, rcond=1e-10)[0]
                for weight, earlier in zip(weights, ends[:-1], strict=True):
                    start[:, channel] -= np.float32(weight) * (ends[-1][:, channel] - earlier[:, channel])
            grids.set(start)
    return False


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a mask and one more on each side."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(cols[0] - 1, 0), cols[-1] + 2)


