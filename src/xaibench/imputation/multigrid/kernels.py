"""Compiled sweeps over the image and the grids below it, for :mod:`xaibench.imputation.multigrid.grids`.

The finest grid is the image, flattened to (rows × cols, 3) with the channels of a pixel side by side. A kernel walks a
list of the unknowns of each row, so that few unknowns cost little. The unknowns of a coarse grid have no gaps worth
skipping. Kernels go over whole rows of it, sixteen points at a time; for that the even and the odd columns of a row are
stored apart and relaxed one after the other. A kernel does all its work on a row while the row is in the cache.

Layout of a coarse grid of cols = 2 half + 1 columns, border included. Values: (3, rows, 2, half + 1), column 2 j at
[..., 0, j] and 2 j + 1 at [..., 1, j]. Everything else has no border, (…, rows, 2, half): column 2 j + 2 at [..., 0, j]
and 2 j + 1 at [..., 1, j].

All grids have a border of zeros. Kernels are single-threaded and add in a fixed order: the same input gives the same
bits. Positions are unsigned where that avoids a test for negative ones.
"""

import numpy as np

from xaibench.imputation.multigrid.jit import Bool, Float32, Int64, UInt32, compiled, inlined


@inlined
def _neighbour_sum(x: Float32, i: np.uint64, cols: np.uint64, c: int) -> np.float32:
    """The weighted sum of the eight neighbours, edge 2 and corner 1."""
    one = np.uint64(1)
    north, south = i - cols, i + cols
    edges = (x[north, c] + x[south, c]) + (x[i + one, c] + x[i - one, c])
    corners = (x[north - one, c] + x[north + one, c]) + (x[south - one, c] + x[south + one, c])
    total: np.float32 = np.float32(2) * edges + corners
    return total


@inlined
def _row(x: Float32, y: int, parity: int) -> tuple[Float32, Float32, Float32]:
    """Views of the columns left of, at and right of a channel's even (0) or odd (1) columns, without the border."""
    half = x.shape[2] - 1
    even, odd = x[y, 0], x[y, 1]
    if parity == 0:
        return odd[:half], even[1:], odd[1:]
    return even[:half], odd[:half], even[1:]


@inlined
def _gather_row(x: Float32, f: Float32, coupling: Float32, y: int, parity: int, out: Float32) -> None:
    """The right-hand side plus the neighbours times their couplings, of one parity of one channel's row."""
    a, b, c = _row(x, y - 1, parity)
    d, _, e = _row(x, y, parity)
    g, h, i = _row(x, y + 1, parity)
    k0, k1, k2, k3 = coupling[0, y, parity], coupling[1, y, parity], coupling[2, y, parity], coupling[3, y, parity]
    k4, k5, k6, k7 = coupling[4, y, parity], coupling[5, y, parity], coupling[6, y, parity], coupling[7, y, parity]
    right = f[y, parity]
    for j in range(right.size):
        above = k0[j] * a[j] + k1[j] * b[j] + k2[j] * c[j]
        below = k5[j] * g[j] + k6[j] * h[j] + k7[j] * i[j]
        out[j] = right[j] + above + (k3[j] * d[j] + k4[j] * e[j]) + below


@inlined
def _relax_row(x: Float32, f: Float32, coupling: Float32, inverse: Float32, y: int, total: Float32) -> None:
    """Relax the even, then the odd columns of one channel's row; ``total`` (half,) is scratch."""
    for parity in range(2):
        _gather_row(x, f, coupling, y, parity, total)  # to scratch, so that the compiler can rule out an overlap
        own, weight = _row(x, y, parity)[1], inverse[y, parity]
        for j in range(total.size):
            own[j] = weight[j] * total[j]


@inlined
def _residual_row(
    x: Float32, f: Float32, coupling: Float32, diagonal: Float32, y: int, even: Float32, odd: Float32
) -> None:
    """Residual of one channel's row to ``even`` (half + 1,), border included, and ``odd`` (half,)."""
    for parity in range(2):
        out = even[1:] if parity == 0 else odd
        _gather_row(x, f, coupling, y, parity, out)
        own, weight = _row(x, y, parity)[1], diagonal[y, parity]
        for j in range(odd.size):
            out[j] -= weight[j] * own[j]


@inlined
def _restrict_coarse(even: Float32, odd: Float32, row: int, f: Float32, line: Float32) -> None:
    """One channel's row of Pᵀ r; ``even`` (3, half + 1) and ``odd`` (3, half) hold fine row y at y modulo 3."""
    quarter, half = np.float32(0.25), np.float32(0.5)
    u, m, d = (2 * row - 2) % 3, (2 * row - 1) % 3, 2 * row % 3
    above, here, below = even[u], even[m], even[d]
    for j in range(above.size - 1):
        left = half * here[j] + quarter * (above[j] + below[j])
        right = half * here[j + 1] + quarter * (above[j + 1] + below[j + 1])
        line[j + 1] = left + right
    above, here, below = odd[u], odd[m], odd[d]
    for j in range(above.size):
        line[j + 1] += here[j] + half * (above[j] + below[j])
    for j in range(f.shape[2]):
        f[row, 0, j] = line[2 * j + 2]
        f[row, 1, j] = line[2 * j + 1]


@inlined
def _prolong_coarse(coarse: Float32, y: int, x: Float32, line: Float32) -> None:
    """Add one channel's fine row of P times ``coarse`` to x."""
    half = np.float32(0.5)
    above, below = coarse[(y + 1) // 2], coarse[y // 2 + 1]
    for j in range(coarse.shape[2] - 1):
        line[2 * j] = half * (above[0, j] + below[0, j])
        line[2 * j + 1] = half * (above[1, j] + below[1, j])
    line[2 * coarse.shape[2] - 2] = 0
    even, odd = x[y, 0, 1:], x[y, 1]
    for j in range(even.size):
        even[j] += half * (line[j + 1] + line[j + 2])
    for j in range(even.size):
        odd[j] += line[j + 1]


@inlined
def _restrict_finest(residuals: Float32, row: int, f: Float32, line: Float32) -> None:
    """One row of Pᵀ r; ``residuals`` (3, cols, 3) holds image row y at y modulo 3."""
    half = np.float32(0.5)
    u, m, d = residuals[(2 * row - 2) % 3], residuals[(2 * row - 1) % 3], residuals[2 * row % 3]
    for j in range(u.shape[0]):
        for c in range(3):
            line[j, c] = m[j, c] + half * (u[j, c] + d[j, c])
    last = u.shape[0] // 2  # coarse column within the image
    for j in range((last + 1) // 2):
        for c in range(3):
            f[c, row, 1, j] = line[4 * j + 1, c] + half * (line[4 * j, c] + line[4 * j + 2, c])
    for j in range(last // 2):
        for c in range(3):
            f[c, row, 0, j] = line[4 * j + 3, c] + half * (line[4 * j + 2, c] + line[4 * j + 4, c])


@inlined
def _prolong_finest(
    coarse: Float32, y: int, starts: Int64, index: UInt32, cols: int, x: Float32, line: Float32
) -> None:
    """Add one row of P times ``coarse`` to the unknowns of x."""
    half, one = np.float32(0.5), np.uint64(1)
    if starts[y] == starts[y + 1]:
        return
    for c in range(3):
        above, below = coarse[c, (y + 1) // 2], coarse[c, y // 2 + 1]
        for j in range(coarse.shape[3] - 1):
            line[2 * j, c] = half * (above[0, j] + below[0, j])
            line[2 * j + 1, c] = half * (above[1, j] + below[1, j])
    for k in range(starts[y], starts[y + 1]):
        i = np.uint64(index[k])
        column = i - np.uint64(y * cols)
        left, right = (column + one) >> one, (column >> one) + one
        for c in range(3):
            x[i, c] += half * (line[left, c] + line[right, c])


@compiled
def down_finest(
    x: Float32, starts: Int64, index: UInt32, diagonal: Float32, inverse: Float32, cols: int, below_f: Float32
) -> None:
    """Relax each unknown pixel once, then restrict the residual to the grid below.

    Args:
        x: (rows × cols, 3), the image, known pixels included; changed in place.
        starts, index, diagonal: see :func:`xaibench.imputation.multigrid.setup.list_unknowns`.
        inverse: 1 / diagonal.
        cols: columns of the grid.
        below_f: output, the right-hand side of the coarse grid.
    """
    rows, width = starts.size - 1, np.uint64(cols)
    residuals = np.zeros((3, cols, 3), np.float32)
    line = np.empty((cols, 3), np.float32)
    for y in range(1, rows + 1):
        if y < rows:
            for k in range(starts[y], starts[y + 1]):
                i, w = np.uint64(index[k]), inverse[k]
                for c in range(3):
                    x[i, c] = w * _neighbour_sum(x, i, width, c)
        done = y - 1
        residual = residuals[done % 3]
        residual[:] = 0
        for k in range(starts[done], starts[y]):
            i, a = np.uint64(index[k]), diagonal[k]
            j = i - np.uint64(done * cols)
            for c in range(3):
                residual[j, c] = _neighbour_sum(x, i, width, c) - a * x[i, c]
        if done % 2 == 0 and done > 0:
            _restrict_finest(residuals, done // 2, below_f, line)


@compiled
def up_finest(
    below_x: Float32, x: Float32, previous: Float32, starts: Int64, index: UInt32, inverse: Float32, cols: int
) -> np.float32:
    """Add the coarse correction, relax once more, and compare with the end of the previous cycle.

    Args:
        previous: (unknowns, 3), the values after the previous cycle in the order of the list; changed in place.

    Returns:
        The greatest change of a value since the previous cycle.
    """
    rows, width = starts.size - 1, np.uint64(cols)
    line = np.empty((2 * below_x.shape[3], 3), np.float32)
    red = green = blue = np.float32(0)
    for y in range(1, rows + 1):
        if y < rows:
            _prolong_finest(below_x, y, starts, index, cols, x, line)
        for k in range(starts[y - 1], starts[y]):
            i, w = np.uint64(index[k]), inverse[k]
            r = w * _neighbour_sum(x, i, width, 0)
            g = w * _neighbour_sum(x, i, width, 1)
            b = w * _neighbour_sum(x, i, width, 2)
            red = max(red, abs(r - previous[k, 0]))
            green = max(green, abs(g - previous[k, 1]))
            blue = max(blue, abs(b - previous[k, 2]))
            x[i, 0], x[i, 1], x[i, 2] = r, g, b
            previous[k, 0], previous[k, 1], previous[k, 2] = r, g, b
    return max(red, green, blue)


@compiled
def down_coarse(
    x: Float32, f: Float32, coupling: Float32, diagonal: Float32, inverse: Float32, used: Bool, below_f: Float32
) -> None:
    """Relax each unknown of a coarse grid once, then restrict the residual to the grid below.

    Args:
        x: the values, changed in place.
        f: the right-hand side.
        coupling, diagonal, inverse, used: see :class:`xaibench.imputation.multigrid.grids._CoarseGrid`.
        below_f: output, the right-hand side of the next coarser grid.
    """
    _, rows, _, half = f.shape
    total = np.empty(half, np.float32)
    even, odd = np.zeros((3, 3, half + 1), np.float32), np.zeros((3, 3, half), np.float32)
    line = np.zeros(2 * below_f.shape[3] + 1, np.float32)
    for y in range(1, rows):
        done = y - 1
        for c in range(3):
            if used[y]:
                _relax_row(x[c], f[c], coupling, inverse, y, total)
            if used[done]:
                _residual_row(x[c], f[c], coupling, diagonal, done, even[c, done % 3], odd[c, done % 3])
            else:
                even[c, done % 3] = 0
                odd[c, done % 3] = 0
            if done % 2 == 0 and done > 0:
                _restrict_coarse(even[c], odd[c], done // 2, below_f[c], line)
    for c in range(3):
        even[c, (rows - 1) % 3] = 0
        odd[c, (rows - 1) % 3] = 0
        _restrict_coarse(even[c], odd[c], (rows - 1) // 2, below_f[c], line)


@compiled
def up_coarse(below_x: Float32, x: Float32, f: Float32, coupling: Float32, inverse: Float32, used: Bool) -> None:
    """Add the correction of the next coarser grid and relax once more."""
    _, rows, _, half = f.shape
    total = np.empty(half, np.float32)
    line = np.empty(2 * below_x.shape[3], np.float32)
    for y in range(1, rows):
        for c in range(3):
            if used[y]:
                _prolong_coarse(below_x[c], y, x[c], line)
            if used[y - 1]:
                _relax_row(x[c], f[c], coupling, inverse, y - 1, total)
