"""Compiled set-up of the grids: operators, lists of unknowns, and copies from and to the image."""

import numpy as np

from xaibench.imputation.multigrid.jit import Bool, Float32, Int64, UInt32, compiled, inlined


@compiled
def list_unknowns(
    unknown: Bool, domain: Bool, starts: Int64, index: UInt32, diagonal: Float32, active: Float32
) -> None:
    """List the unknown pixels of each row, even columns first, so that neighbours in the list are independent.

    Args:
        unknown, domain: (height, width) bool.
        starts: (rows + 1,) output, where each row's unknowns begin in the list; rows and columns include the border.
        index: (n + 1,) output, positions in the flattened grid; the last entry is scratch, here and below.
        diagonal: (n + 1,) output, the sum of the weights of the neighbours in the domain, edge 2 and corner 1.
        active: (rows, cols) output, 1 at unknowns; must be zero before.
    """
    rows, cols = active.shape
    height, width = domain.shape
    inside = np.zeros((3, cols), np.int32)
    n = 0
    for y in range(rows):
        starts[y] = n
        ahead = inside[(y + 1) % 3]
        for x in range(width):
            ahead[x + 1] = domain[y, x] if y < height else 0
        if y < 1 or y > height:
            continue
        above, here = inside[(y - 1) % 3], inside[y % 3]
        for first in (2, 1):
            for x in range(first, width + 1, 2):
                edges = above[x] + ahead[x] + here[x - 1] + here[x + 1]
                corners = above[x - 1] + above[x + 1] + ahead[x - 1] + ahead[x + 1]
                # No branch, which the processor would often mispredict: entries of known pixels are overwritten.
                index[n] = y * cols + x
                diagonal[n] = 2 * edges + corners
                active[y, x] = unknown[y - 1, x - 1]
                n += unknown[y - 1, x - 1]
    starts[rows] = n


@inlined
def _over_columns(c: Float32, e: Float32, sw: Float32, s: Float32, se: Float32, out: Float32) -> None:
    """Stencils of one fine row (the point, right, below left, below, below right) in terms of coarse columns.

    ``out`` (5, coarse cols): the coarse column and the one to the right within the row; then the columns to the left,
    same and to the right of the next row.
    """
    half, quarter = np.float32(0.5), np.float32(0.25)
    for i in range(1, out.shape[1] - 1):
        u, m, d = 2 * i - 2, 2 * i - 1, 2 * i
        out[0, i] = quarter * (c[u] + c[d]) + c[m] + e[u] + e[m]
        out[1, i] = quarter * c[d] + half * (e[d] + e[m])
        out[2, i] = quarter * s[u] + half * (sw[u] + sw[m])
        out[3, i] = quarter * (s[u] + s[d]) + s[m] + half * (se[u] + sw[m] + se[m] + sw[d])
        out[4, i] = quarter * s[d] + half * (se[d] + se[m])


@inlined
def _over_rows(rows: Float32, row: int, stencil: Float32) -> None:
    """One row of the coarse stencils from the three fine rows it spans; ``rows`` holds fine row y at y modulo 3."""
    half, quarter = np.float32(0.5), np.float32(0.25)
    u, m, d = rows[(2 * row - 2) % 3], rows[(2 * row - 1) % 3], rows[2 * row % 3]
    for i in range(1, stencil.shape[2] - 1):
        stencil[0, row, i] = quarter * (u[0, i] + d[0, i]) + m[0, i] + u[3, i] + m[3, i]
        stencil[1, row, i] = (
            quarter * (u[1, i] + d[1, i]) + m[1, i] + half * (u[4, i] + u[2, i + 1] + m[4, i] + m[2, i + 1])
        )
        stencil[2, row, i] = quarter * d[1, i - 1] + half * (d[2, i] + m[2, i])
        stencil[3, row, i] = quarter * d[0, i] + half * (d[3, i] + m[3, i])
        stencil[4, row, i] = quarter * d[1, i] + half * (d[4, i] + m[4, i])


@compiled
def galerkin_finest(active: Float32, starts: Int64, index: UInt32, diagonal: Float32, stencil: Float32) -> None:
    """The first coarse operator; the arguments are those of :func:`list_unknowns` and :func:`galerkin_coarse`.

    ``stencil`` has at least half as many columns as the image; columns beyond are not changed.
    """
    rows, cols = active.shape
    fine = np.zeros((5, cols), np.float32)
    coarse = np.zeros((3, 5, cols // 2 + 2), np.float32)
    for y in range(rows):
        if starts[y + 1] == starts[y]:
            coarse[y % 3] = 0
        else:
            fine[0] = 0
            for k in range(starts[y], starts[y + 1]):
                fine[0, index[k] - y * cols] = diagonal[k]
            here, below = active[y], active[y + 1]
            for x in range(1, cols - 1):
                fine[1, x] = -2 * here[x] * here[x + 1]
                fine[2, x] = -here[x] * below[x - 1]
                fine[3, x] = -2 * here[x] * below[x]
                fine[4, x] = -here[x] * below[x + 1]
            _over_columns(fine[0], fine[1], fine[2], fine[3], fine[4], coarse[y % 3])
        if y % 2 == 0 and y > 0:
            _over_rows(coarse, y // 2, stencil[:, :, : cols // 2 + 2])


@compiled
def galerkin_coarse(fine: Float32, stencil: Float32) -> None:
    """Pᵀ A P; P is bilinear interpolation, coarse point i lies on fine point 2 i − 1.

    Args:
        fine: (5, rows, cols), A: the coefficients of a point itself and of its neighbours to the right, below
            to the left, below, and below to the right; symmetry gives the others.
        stencil: (5, coarse rows, coarse cols) output, the same of the coarse grid; must be zero before.
    """
    _, rows, cols = fine.shape
    coarse = np.zeros((3, 5, cols // 2 + 2), np.float32)
    for y in range(rows):
        _over_columns(fine[0, y], fine[1, y], fine[2, y], fine[3, y], fine[4, y], coarse[y % 3])
        if y % 2 == 0 and y > 0:
            _over_rows(coarse, y // 2, stencil[:, :, : cols // 2 + 2])


@compiled
def load_image(image: Float32, top: int, left: int, known: Bool, x: Float32, cols: int) -> Float32:
    """Write the known pixels, less their mean, to a grid of zeros; returns the mean, (3,).

    Args:
        image: (3, H, W).
        top, left: where the part to load begins.
        known: (height, width) bool, at least one of them.
        x: (rows × cols, 3) output, the grid with its border.
    """
    height, width = known.shape
    total = np.zeros((3, width), np.float64)
    count = 0
    for y in range(height):
        for column in range(width):
            count += known[y, column]
        for c in range(3):
            for column in range(width):
                total[c, column] += image[c, top + y, left + column] if known[y, column] else np.float32(0)
    mean = np.empty(3, np.float32)
    for c in range(3):
        mean[c] = total[c].sum() / count
    for y in range(height):
        for column in range(width):
            at = (y + 1) * cols + column + 1
            for c in range(3):
                x[at, c] = image[c, top + y, left + column] - mean[c] if known[y, column] else np.float32(0)
    return mean


@compiled
def store_image(x: Float32, cols: int, mean: Float32, unknown: Bool, image: Float32, top: int, left: int) -> None:
    """Write the unknown pixels of a grid, plus the mean, to the image; the inverse of :func:`load_image`."""
    height, width = unknown.shape
    for y in range(height):
        for column in range(width):
            at = (y + 1) * cols + column + 1
            for c in range(3):
                image[c, top + y, left + column] = (
                    x[at, c] + mean[c] if unknown[y, column] else image[c, top + y, left + column]
                )
