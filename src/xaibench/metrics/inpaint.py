"""Linear imputation: removed pixels as the weighted mean of their eight neighbours, one sparse system over the grid.

The system is a Laplace equation with weights 1/6 (edge) and 1/12 (diagonal), solved by conjugate gradients with one
multigrid V-cycle as preconditioner. Coarse operators are Galerkin products of masked bilinear interpolation, so that
they see every known pixel and the edge of the picture; on a round field of view less than ten iterations do, be the
removed pixels scattered, thin, one blob, or all but one.

Everything is done in single-threaded NumPy on flattened grids with a border of zeros: a neighbour is then one shift of
a contiguous array, which is faster than a convolution at this size, and the result does not depend on thread counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from scipy import ndimage

# Jacobi's damping is chosen row by row so that no eigenvalue of the relaxed operator can exceed this (Gershgorin);
# below 2 the smoother converges and the preconditioner is positive definite, and the nearer to 2 the faster.
_RELAXED_BOUND = 1.8
_COARSEST = 5  # rows and columns, with the border, at which halving ends and the system is solved directly
_MAX_ITERATIONS = 60
_OFFSETS = ((0, 1), (1, -1), (1, 0), (1, 1))  # half of the neighbours; symmetry gives the others


def solve_inpaint(image: np.ndarray, removed: np.ndarray, domain: np.ndarray, *, tolerance: float = 1e-5) -> np.ndarray:
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
        tolerance: the greatest change, in image units, that one more iteration could still be expected to make.

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
    result = np.array(image, np.float32)
    if not removed.any():
        return result
    parts, count = ndimage.label(domain, np.ones((3, 3)))
    known = np.bincount(parts[domain & ~removed], minlength=count + 1) > 0
    lost = removed & ~known[parts]
    if lost.any():
        result[:, lost] = _mean(image, domain)[:, None]
    unknown = removed & ~lost
    if not unknown.any():
        return result
    box = _bounding_box(unknown)
    crop = (slice(None), *box)
    known_here = domain[box] & ~removed[box]
    # Centred values keep more digits, and make the mean of what is known the first guess.
    centre = _mean(image[crop], known_here)[:, None, None]
    values = _solve(
        np.where(known_here, image[crop] - centre, 0).astype(np.float32), unknown[box], domain[box], tolerance
    )
    np.copyto(result[crop], values + centre, where=unknown[box])
    return result


def _mean(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(3,) float32, the mean of each channel."""
    total = (image * where).sum((1, 2), dtype=np.float64)
    mean: np.ndarray = (total / where.sum()).astype(np.float32)
    return mean


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a mask and one more on each side."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(cols[0] - 1, 0), cols[-1] + 2)


def _solve(picture: np.ndarray, unknown: np.ndarray, domain: np.ndarray, tolerance: float) -> np.ndarray:
    """Preconditioned conjugate gradients, the channels side by side; ``picture`` is zero at unknown pixels."""
    height, width = unknown.shape
    inside = (..., slice(1, height + 1), slice(1, width + 1))
    shape = (_padded(height), _padded(width))
    masks = np.zeros((2, *shape), bool)
    masks[inside] = unknown, domain
    grids = _Multigrid(*masks)
    fine = grids.fine
    framed = np.zeros((3, *shape), np.float32)
    framed[inside] = picture
    x = framed.reshape(3, -1)
    fine.apply(x, out=fine.residual)
    np.negative(fine.residual, out=fine.residual)
    direction, descent = np.zeros_like(x), np.ones((3, 1), np.float32)
    for _ in range(_MAX_ITERATIONS):
        grids.cycle()
        if max(fine.x.max(), -fine.x.min()) <= tolerance:
            # The preconditioner is close to the inverse, so what it proposes is close to the error that is left.
            x += fine.x
            return framed[inside]
        before, descent = descent, _dot(fine.residual, fine.x, fine.work)
        direction *= descent / before
        direction += fine.x
        fine.apply(direction, out=fine.x)
        # A channel that is solved already has a zero residual: its step is 0, not 0/0.
        step = descent / np.maximum(_dot(direction, fine.x, fine.work), np.float32(1e-30))
        fine.x *= step
        fine.residual -= fine.x
        x += np.multiply(direction, step, out=fine.work)
        descent = np.maximum(descent, np.float32(1e-30))
    raise ArithmeticError(f"the imputation of {unknown.sum()} pixels did not converge in {_MAX_ITERATIONS} iterations")


def _dot(a: np.ndarray, b: np.ndarray, work: np.ndarray) -> np.ndarray:
    """(3, 1) inner products; pairwise sums, whose bits (unlike those of BLAS) do not depend on thread counts."""
    product: np.ndarray = np.multiply(a, b, out=work).sum(1, keepdims=True)
    return product


def _padded(interior: int) -> int:
    """Length of a padded axis: one zero before, at least one after, and odd, so that a coarse point sits on each
    second interior point and each even point lies between two."""
    return 2 * (interior // 2 + 1) + 1


class _Level(ABC):
    """The unknowns of one grid and their work arrays, flattened to (3, rows × columns).

    Attributes:
        shape: rows and columns with the border.
        active: (n,) float32, 1 at unknowns.
        relax: (n,) float32, what Jacobi multiplies the residual by.
        residual, x, work: (3, n) float32: the right-hand side of a V-cycle, its solution, and scratch.
        half: (3, rows / 2 + 2, columns) float32, scratch between the two directions of a transfer.
    """

    def __init__(self, active: np.ndarray) -> None:
        self.shape: tuple[int, int] = active.shape
        self.active = active.astype(np.float32).ravel()
        self.relax = np.zeros_like(self.active)
        self.residual, self.x, self.work = np.zeros((3, 3, active.size), np.float32)
        self.half = np.empty((3, self.shape[0] // 2 + 2, self.shape[1]), np.float32)

    @abstractmethod
    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write A x, zero off the unknowns, to ``out``."""

    @property
    def below(self) -> tuple[int, int]:
        """Shape of the next coarser grid."""
        return _padded(self.shape[0] // 2), _padded(self.shape[1] // 2)

    def set_relaxation(self, diagonal: np.ndarray, absolute_row_sum: np.ndarray) -> None:
        """Jacobi weights within the Gershgorin bound; unknowns of next to no weight are left to the other levels."""
        bound = np.maximum(diagonal, absolute_row_sum / np.float32(_RELAXED_BOUND))
        np.divide(1, bound, out=self.relax, where=(diagonal > 1e-5) & (self.active > 0))


class _Picture(_Level):
    """The finest grid. A is 12 × (diag(sum of the weights of existing neighbours) − W) at unknown pixels.

    12 W + 4 is the product of [1 2 1] in both directions, and [1 2 1] is [1 1] twice: W costs four additions.
    """

    def __init__(self, unknown: np.ndarray, domain: np.ndarray) -> None:
        super().__init__(unknown)
        self._scratch = np.zeros((2, unknown.size), np.float32)
        existing, removed = np.empty_like(self.active), np.empty_like(self.active)
        self._smooth(domain.astype(np.float32).ravel(), out=existing)
        self._smooth(self.active, out=removed)
        self._centre = existing * self.active  # the sum of the weights, plus the 4 of 12 W + 4
        diagonal = self._centre - 4 * self.active
        self.set_relaxation(diagonal, (diagonal + removed - 4) * self.active)

    def _smooth(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write (12 W + 4) x to ``out``, one channel; what it writes on the border is of no meaning."""
        a, b = self._scratch
        row = self.shape[1]
        np.add(x[:-1], x[1:], out=a[:-1])
        np.add(a[:-1], a[1:], out=b[1:])
        np.add(b[:-row], b[row:], out=a[:-row])
        np.add(a[:-row], a[row:], out=out[row:])
        out[:row] = 0

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        for channel, target in zip(x, out, strict=True):
            self._smooth(channel, out=target)
            target *= self.active
            np.subtract(np.multiply(channel, self._centre, out=self._scratch[0]), target, out=target)


class _Coarse(_Level):
    """A coarser grid with the Galerkin operator Pᵀ A P, a symmetric nine-point stencil that varies from point to point.

    P is bilinear interpolation cut to the unknowns below. The operator is read off by probing: points three apart do
    not meet in one stencil, so nine right-hand sides, taken three at a time, show all coefficients.
    """

    def __init__(self, fine: _Level) -> None:
        shape = fine.below
        support = np.zeros((3, *shape), np.float32)
        fine.work[:] = fine.active
        _restrict(fine, fine.work, out=support)
        exists = support[0] > 0
        super().__init__(exists)
        diagonal = np.zeros(shape, np.float32)
        couplings = np.zeros((4, *shape), np.float32)
        probe, seen = self.x.reshape(3, *shape), self.residual.reshape(3, *shape)
        for i in range(3):
            probe[:] = 0
            for j in range(3):
                probe[j, i::3, j::3] = exists[i::3, j::3]
            _prolong(fine, probe, out=fine.x)
            fine.x *= fine.active
            fine.apply(fine.x, out=fine.work)
            _restrict(fine, fine.work, out=seen)
            for j in range(3):
                diagonal[i::3, j::3] = seen[j, i::3, j::3]
                for coupling, (down, right) in zip(couplings, _OFFSETS, strict=True):
                    here = (slice((i - down) % 3, None, 3), slice((j - right) % 3, None, 3))
                    coupling[here] = seen[j][here]
        self._diagonal = diagonal.ravel()
        self._couplings = [
            (down * shape[1] + right, coupling.ravel()[: -(down * shape[1] + right)])
            for coupling, (down, right) in zip(couplings, _OFFSETS, strict=True)
        ]
        self._product = np.empty_like(self.x)
        row_sum = np.abs(self._diagonal)
        for offset, coupling in self._couplings:
            row_sum[:-offset] += np.abs(coupling)
            row_sum[offset:] += np.abs(coupling)
        self.set_relaxation(self._diagonal, row_sum)

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        np.multiply(x, self._diagonal, out=out)
        for offset, coupling in self._couplings:
            product = self._product[:, offset:]
            out[:, :-offset] += np.multiply(x[:, offset:], coupling, out=product)
            out[:, offset:] += np.multiply(x[:, :-offset], coupling, out=product)

    def dense(self) -> np.ndarray:
        """(n, n) float64, the operator as a matrix."""
        matrix = np.diag(self._diagonal.astype(np.float64))
        for offset, coupling in self._couplings:
            matrix += np.diag(coupling, offset) + np.diag(coupling, -offset)
        return matrix


class _Multigrid:
    """All grids of a system, and one V-cycle over them: a symmetric positive definite stand-in for the inverse."""

    def __init__(self, unknown: np.ndarray, domain: np.ndarray) -> None:
        self.fine = _Picture(unknown, domain)
        last = _Coarse(self.fine)
        self._levels: list[_Level] = [self.fine, last]
        while max(last.shape) > _COARSEST:
            last = _Coarse(last)
            self._levels.append(last)
        # Interpolation functions that are cut off by known pixels can be linearly dependent, hence no plain inverse.
        self._inverse = np.linalg.pinv(last.dense(), rcond=1e-6, hermitian=True).astype(np.float32)

    def cycle(self, depth: int = 0) -> None:
        """Set the level's ``x`` to an approximate solution of A x = ``residual``."""
        level = self._levels[depth]
        if depth == len(self._levels) - 1:
            np.matmul(level.residual, self._inverse, out=level.x)
            return
        below = self._levels[depth + 1]
        np.multiply(level.residual, level.relax, out=level.x)
        level.apply(level.x, out=level.work)
        np.subtract(level.residual, level.work, out=level.work)
        _restrict(level, level.work, out=below.residual)
        self.cycle(depth + 1)
        _prolong(level, below.x, out=level.work)
        level.work *= level.active
        level.x += level.work
        level.apply(level.x, out=level.work)
        np.subtract(level.residual, level.work, out=level.work)
        level.work *= level.relax
        level.x += level.work


def _prolong(fine: _Level, coarse: np.ndarray, out: np.ndarray) -> None:
    """Bilinear interpolation of (3, n) coarse values; coarse point i lies on fine point 2 i − 1."""
    rows, cols = fine.shape[0] // 2, fine.shape[1] // 2
    c, f = _cut(coarse, fine, rows + 2, cols + 2), out.reshape(3, *fine.shape)
    wide = fine.half
    wide[:, :, 1::2] = c[:, :, 1:-1]
    between = np.add(c[:, :, :-1], c[:, :, 1:])
    np.multiply(between, np.float32(0.5), out=wide[:, :, ::2])
    f[:, 1::2] = wide[:, 1:-1]
    np.add(wide[:, :-1], wide[:, 1:], out=f[:, ::2])
    f[:, ::2] *= np.float32(0.5)


def _restrict(fine: _Level, values: np.ndarray, out: np.ndarray) -> None:
    """The transpose of :func:`_prolong`."""
    rows, cols = fine.shape[0] // 2, fine.shape[1] // 2
    f, c = values.reshape(3, *fine.shape), _cut(out, fine, rows + 1, cols + 1)[:, 1:, 1:]
    low = fine.half[:, :rows]
    np.add(f[:, :-1:2], f[:, 2::2], out=low)
    low *= np.float32(0.5)
    low += f[:, 1::2]
    np.add(low[:, :, :-1:2], low[:, :, 2::2], out=c)
    c *= np.float32(0.5)
    c += low[:, :, 1::2]


def _cut(coarse: np.ndarray, fine: _Level, rows: int, cols: int) -> np.ndarray:
    """The first rows and columns of a (3, n) array on the grid below ``fine``."""
    return coarse.reshape(3, *fine.below)[:, :rows, :cols]
