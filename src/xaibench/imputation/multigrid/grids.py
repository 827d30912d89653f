"""The grids of a linear imputation, and one multigrid cycle over them.

The finest grid is the image itself. Its equations state that twelve times an unknown pixel is the weighted sum of its
neighbours; known pixels hold their values. Coarser grids solve for corrections. Their operators are Galerkin products
of bilinear interpolation restricted to the unknowns, so that they include every known pixel and the border of the
image. The smoother is Gauss–Seidel, once before and once after each correction. The image and the grid below it take
two corrections each, which compensates for the crude interpolation beside known pixels; coarser grids take one.

Importing this module imports numba.
"""

import numpy as np

from xaibench.imputation.multigrid import kernels, setup
from xaibench.imputation.multigrid.jit import Bool, Float32, Int64, UInt32

_COARSEST = 5  # rows and columns, border included, at which halving ends and the system is solved directly
_TWICE = 2  # number of coarse grids, from the finest on, that take two corrections
_LEAST = np.float32(1e-5)  # a coarse point with a smaller diagonal covers hardly any unknown; other grids solve there

# The part of a stencil that couples a point to each neighbour in reading order, and the point that it belongs to: so
# many rows above, so many columns to the left.
_NEIGHBOURS = ((4, 1, 1), (3, 1, 0), (2, 1, -1), (1, 0, 1), (1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0))


class Grids:
    """All grids of one system.

    Args:
        image: (3, H, W) float32.
        unknown: (height, width), the pixels to solve for.
        known: (height, width), the pixels with given values, at least one. The domain is both.
        corner: row and column of the image at which these masks begin.

    Attributes:
        mean: (3,), of the known pixels; grids hold differences from it, which keeps more digits.
        cut: the share of unknown pixels with a neighbour outside the domain.
    """

    def __init__(self, image: Float32, unknown: Bool, known: Bool, corner: tuple[int, int]) -> None:
        self._unknown, self._corner = unknown, corner
        rows, cols = (_padded(length) for length in unknown.shape)
        self._finest = _FinestGrid(rows, cols, int(np.count_nonzero(unknown)))
        self.mean = setup.load_image(image, *corner, known, self._finest.x, cols)
        active = np.zeros((rows, cols), np.float32)
        setup.list_unknowns(unknown, unknown | known, *self._finest.lists, active)
        self._finest.close()
        self.cut = float(np.mean(self._finest.diagonal < 12))
        stencil = _zeros_below(rows, cols)
        setup.galerkin_finest(active, *self._finest.lists, stencil)
        self._coarse = [_CoarseGrid(stencil)]
        while max(stencil.shape[1:]) > _COARSEST:
            finer, stencil = stencil, _zeros_below(*stencil.shape[1:])
            setup.galerkin_coarse(finer, stencil)
            self._coarse.append(_CoarseGrid(stencil))
        # Interpolation functions cut off by known pixels can be linearly dependent: hence the pseudo-inverse.
        self._inverse = np.linalg.pinv(_dense(stencil), rcond=1e-6, hermitian=True).astype(np.float32)
        self._previous = np.zeros((len(self._finest.index), 3), np.float32)

    def cycle(self) -> float:
        """One multigrid cycle; returns the greatest change of a value since the previous one."""
        fine, below = self._finest, self._coarse[0]
        kernels.down_finest(fine.x, *fine.lists, fine.inverse, fine.cols, below.f)
        self._solve(0)
        return float(
            kernels.up_finest(below.x, fine.x, self._previous, fine.starts, fine.index, fine.inverse, fine.cols)
        )

    def store(self, image: Float32) -> None:
        """Write the unknown pixels to (3, H, W) float32."""
        setup.store_image(self._finest.x, self._finest.cols, self.mean, self._unknown, image, *self._corner)

    def _solve(self, depth: int) -> None:
        """Set ``x`` of a coarse grid to an approximate solution for its ``f``."""
        grid = self._coarse[depth]
        if depth == len(self._coarse) - 1:
            grid.solve(self._inverse)
            return
        grid.x[:] = 0
        below = self._coarse[depth + 1]
        for _ in range(2 if depth < _TWICE else 1):
            kernels.down_coarse(grid.x, grid.f, grid.coupling, grid.diagonal, grid.inverse, grid.used, below.f)
            self._solve(depth + 1)
            kernels.up_coarse(below.x, grid.x, grid.f, grid.coupling, grid.inverse, grid.used)


class _FinestGrid:
    """The finest grid, flattened with its border, and the list of its unknowns.

    The arrays are those of :func:`xaibench.imputation.multigrid.setup.list_unknowns`.
    """

    def __init__(self, rows: int, cols: int, unknowns: int) -> None:
        self.cols = cols
        self.x = np.zeros((rows * cols, 3), np.float32)
        self.starts = np.empty(rows + 1, np.int64)
        self.index = np.empty(unknowns + 1, np.uint32)
        self.diagonal = np.ones(unknowns + 1, np.float32)
        self.inverse: Float32 = self.diagonal

    def close(self) -> None:
        """Cut the lists to their length."""
        self.index, self.diagonal = self.index[:-1], self.diagonal[:-1]
        self.inverse = np.reciprocal(self.diagonal)

    @property
    def lists(self) -> tuple[Int64, UInt32, Float32]:
        return self.starts, self.index, self.diagonal


class _CoarseGrid:
    """A coarse grid in the layout of :mod:`xaibench.imputation.multigrid.kernels`.

    Attributes:
        x, f: the values and the right-hand side.
        coupling: (8, rows, 2, half), minus the coefficients of the neighbours in reading order.
        diagonal: (rows, 2, half), the coefficient of the point itself.
        inverse: 1 / diagonal, or 0 where nothing is unknown.
        used: (rows,), whether a row has an unknown.

    Args:
        stencil: (5, rows, cols), see :func:`xaibench.imputation.multigrid.setup.galerkin_coarse`.
    """

    def __init__(self, stencil: Float32) -> None:
        _, rows, cols = stencil.shape
        half = cols // 2
        self.x = np.zeros((3, rows, 2, half + 1), np.float32)
        self.f = np.zeros((3, rows, 2, half), np.float32)
        self.coupling = np.zeros((8, rows, 2, half), np.float32)
        for k, (part, up, left) in enumerate(_NEIGHBOURS):
            for parity in (0, 1):  # the last even column is the border and has no neighbour to the right
                values = stencil[part, 1 - up : rows - 1 - up, 2 - parity - left :: 2][:, :half]
                self.coupling[k, 1:-1, parity, : values.shape[1]] = -values
        self.diagonal = np.stack([stencil[0, :, 2::2], stencil[0, :, 1::2]], 1)
        is_unknown = self.diagonal > _LEAST
        self.inverse = np.divide(1, self.diagonal, out=np.zeros_like(self.diagonal), where=is_unknown)
        self.used: Bool = np.asarray(is_unknown.any((1, 2)))

    def solve(self, inverse: Float32) -> None:
        """The direct solution on the coarsest grid; ``inverse`` is in the order of rows and columns."""
        _, rows, _, half = self.f.shape
        natural = np.zeros((3, rows, 2 * half + 1), np.float32)
        natural[:, :, 2::2], natural[:, :, 1::2] = self.f[:, :, 0], self.f[:, :, 1]
        solved = (natural.reshape(3, -1) @ inverse).reshape(natural.shape)
        self.x[:, :, 0], self.x[:, :, 1, :-1] = solved[:, :, ::2], solved[:, :, 1::2]


def _padded(interior: int) -> int:
    """Length of a padded axis: one zero before, at least one after, and odd, so that each second interior point is a
    coarse point and each even point lies between two."""
    return 2 * (interior // 2 + 1) + 1


def _zeros_below(rows: int, cols: int) -> Float32:
    """An array for the stencils of the next coarser grid."""
    return np.zeros((5, _padded(rows // 2), _padded(cols // 2)), np.float32)


def _dense(stencil: Float32) -> np.ndarray:
    """(n, n) float64, the operator as a matrix."""
    cols = stencil.shape[2]
    own, *others = stencil.reshape(5, -1).astype(np.float64)
    matrix = np.diag(own)
    for offset, coupling in zip((1, cols - 1, cols, cols + 1), others, strict=True):
        half = np.diag(coupling[:-offset], offset)
        matrix += half + half.T
    return matrix
