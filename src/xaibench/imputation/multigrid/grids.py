"""The grids of a linear imputation, and one multigrid cycle over them.

The finest grid is the picture itself, whose equations say that twelve times an unknown pixel is the weighted sum of its
neighbours; what is known stands in it as it is. Coarser grids solve for corrections. Their operators are Galerkin
products of bilinear interpolation cut to the unknowns, so that they see every known pixel and the edge of the picture.
The smoother is Gauss–Seidel, once before and once after each correction. The picture and the grid below it ask for two
corrections each, which makes up for the crude interpolation beside known pixels; coarser grids ask for one.

Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np

from xaibench.imputation.multigrid import kernels as kernels
from xaibench.imputation.multigrid import setup as setup

_COARSEST = 5  # rows and columns, with the border, at which halving ends and the system is solved directly
_TWICE = 2  # so many grids from the finest on ask for two corrections
_LEAST = np.float32(1e-5)  # a coarse point with a smaller diagonal reaches next to no unknown: left to other grids


class Grids:
    """All grids of one system.

    Args:
        image: (3, H, W) float32.
        unknown: (height, width) bool, where to solve.
        known: (height, width) bool, where the image is taken as it is; at least one pixel. The domain is both.
        corner: row and column of the image at which these begin.

    Attributes:
        mean: (3,) float32, of the known pixels; grids hold what differs from it, which keeps more digits.
        cut: the share of unknown pixels with a neighbour outside the domain.
    """

    def __init__(self, image: np.ndarray, unknown: np.ndarray, known: np.ndarray, corner: tuple[int, int]) -> None:
        self._unknown, self._corner = unknown, corner
        rows, cols = (_padded(length) for length in unknown.shape)
        self._picture = _Picture(rows, cols, int(np.count_nonzero(unknown)))
        self.mean = setup.load_picture(image, *corner, known, self._picture.x, cols)
        active = np.zeros((rows, cols), np.float32)
        setup.list_picture(unknown, unknown | known, *self._picture.lists, active)
        self._picture.close()
        self.cut = float(np.mean(self._picture.diagonal < 12))
        stencil = _zeros_below(rows, cols)
        setup.galerkin_picture(active, *self._picture.lists, stencil)
        self._coarse = [_Coarse(stencil)]
        while max(stencil.shape[1:]) > _COARSEST:
            finer, stencil = stencil, _zeros_below(*stencil.shape[1:])
            setup.galerkin_coarse(finer, stencil)
            self._coarse.append(_Coarse(stencil))
        # Interpolation functions that are cut off by known pixels can be linearly dependent, hence no plain inverse.
        self._inverse = np.linalg.pinv(_dense(stencil), rcond=1e-6, hermitian=True).astype(np.float32)
        self._previous = np.zeros((len(self._picture.index), 3), np.float32)

    def cycle(self) -> float:
        """One multigrid cycle; returns the greatest change of a value since the last one."""
        fine, below = self._picture, self._coarse[0]
        kernels.down_picture(fine.x, *fine.lists, fine.inverse, fine.cols, below.f)
        self._solve(0)
        return float(
            kernels.up_picture(below.x, fine.x, self._previous, fine.starts, fine.index, fine.inverse, fine.cols)
        )

    def store(self, image: np.ndarray) -> None:
        """Write the unknown pixels to (3, H, W) float32."""
        setup.store_picture(self._picture.x, self._picture.cols, self.mean, self._unknown, image, *self._corner)

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


class _Picture:
    """The finest grid, flattened with its border, and the list of its unknowns.

    The arrays are those of :func:`xaibench.imputation.multigrid.setup.list_picture`.
    """

    def __init__(self, rows: int, cols: int, unknowns: int) -> None:
        self.cols = cols
        self.x = np.zeros((rows * cols, 3), np.float32)
        self.starts = np.empty(rows + 1, np.int64)
        self.index = np.empty(unknowns + 1, np.uint32)
        self.diagonal = np.ones(unknowns + 1, np.float32)
        self.inverse: np.ndarray = self.diagonal

    def close(self) -> None:
        """Cut the lists to their length."""
        self.index, self.diagonal = self.index[:-1], self.diagonal[:-1]
        self.inverse = np.reciprocal(self.diagonal)

    @property
    def lists(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.starts, self.index, self.diagonal


class _Coarse:
    """A coarse grid, laid out as :mod:`xaibench.imputation.multigrid.kernels` says."""

    def __init__(self, stencil: np.ndarray) -> None:
        _, rows, cols = stencil.shape
        half = cols // 2
        self.x = np.zeros((3, rows, 2, half + 1), np.float32)
        self.f = np.zeros((3, rows, 2, half), np.float32)
        self.coupling = np.zeros((8, rows, 2, half), np.float32)
        self.diagonal, self.inverse = np.zeros((2, rows, 2, half), np.float32)
        self.used = np.zeros(rows, bool)
        setup.sort_coarse(stencil, _LEAST, self.coupling, self.diagonal, self.inverse, self.used)

    def solve(self, inverse: np.ndarray) -> None:
        """The direct solution on the coarsest grid; ``inverse`` is in the order of rows and columns."""
        _, rows, _, half = self.f.shape
        natural = np.zeros((3, rows, 2 * half + 1), np.float32)
        natural[:, :, 2::2], natural[:, :, 1::2] = self.f[:, :, 0], self.f[:, :, 1]
        solved = (natural.reshape(3, -1) @ inverse).reshape(natural.shape)
        self.x[:, :, 0], self.x[:, :, 1, :-1] = solved[:, :, ::2], solved[:, :, 1::2]


def _padded(interior: int) -> int:
    """Length of a padded axis: one zero before, at least one after, and odd, so that a coarse point sits on each
    second interior point and each even point lies between two."""
    return 2 * (interior // 2 + 1) + 1


def _zeros_below(rows: int, cols: int) -> np.ndarray:
    """Room for the stencils of the next coarser grid."""
    return np.zeros((5, _padded(rows // 2), _padded(cols // 2)), np.float32)


def _dense(stencil: np.ndarray) -> np.ndarray:
    """(n, n) float64, the operator as a matrix."""
    cols = stencil.shape[2]
    own, *others = stencil.reshape(5, -1).astype(np.float64)
    matrix = np.diag(own)
    for offset, coupling in zip((1, cols - 1, cols, cols + 1), others, strict=True):
        half = np.diag(coupling[:-offset], offset)
        matrix += half + half.T
    return matrix
