"""Regions of an image: superpixels that follow its vessels, tiles, and sums over windows."""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import slic
from torch import Tensor

from xaibench.errors import UserError
from xaibench.parameter_checks import at_least

REGIONS = ("slic", "tiles")


def window_sums(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """The sums over all windows of that size in an (H, W) array of bool or integers, by their upper left corners.

    Args:
        values: (H, W).
        height, width: 1 or more, and no more than H and W.

    Returns:
        (H - height + 1, W - width + 1) int64.

    Example:
        >>> window_sums(np.array([[1, 2, 3], [4, 5, 6]]), 2, 2)
        array([[12, 16]])
    """
    total = np.pad(values.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    below = total[height:] - total[:-height]
    return np.asarray(below[:, width:] - below[:, :-width])


def busiest_window(weights: np.ndarray, side: int) -> tuple[slice, slice]:
    """Rows and columns of the square with the largest sum of weights; ties go to the first.

    Args:
        weights: (H, W) bool or integers.
        side: px; the square is cut to the image's height and width.

    Example:
        >>> mask = np.zeros((6, 9), bool); mask[4, 7] = True
        >>> busiest_window(mask, 3)
        (slice(2, 5, None), slice(5, 8, None))
    """
    height, width = (min(side, n) for n in weights.shape)
    sums = window_sums(weights, height, width)
    row, column = (int(i) for i in np.unravel_index(int(sums.argmax()), sums.shape))
    return slice(row, row + height), slice(column, column + width)


def superpixels(image: Tensor, fov: Tensor, segments: int, regions: str = "slic") -> np.ndarray:
    """Cut the field of view into regions.

    Args:
        image: (3, H, W) in [0, 1].
        fov: (H, W) bool.
        segments: about how many regions; never more than the field of view has pixels.
        regions: ``"slic"``: superpixels of the green channel, in which vessels stand out most, that follow vessel edges
            [achanta2012]; ``"tiles"``: squares on a grid, independent of the image; those of which less than a quarter
            is in the field of view are joined to their neighbours.

    Returns:
        (H, W) int64 labels 0 … n - 1, each with a pixel in the field of view; outside it the nearest region's label.

    Raises:
        UserError: for unknown regions, or less than one segment.
    """
    if regions not in REGIONS:
        raise UserError(f"There are no regions called {regions!r}.", f"The regions are {', '.join(REGIONS)}.")
    at_least(1, "segments", segments)
    inside = fov.numpy()
    labels = _slic(image, inside, segments) if regions == "slic" else _tiles(inside, segments)
    nearest = distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    _values, numbered = np.unique(labels[tuple(nearest)], return_inverse=True)
    return numbered.reshape(inside.shape).astype(np.int64)


def _slic(image: Tensor, inside: np.ndarray, segments: int) -> np.ndarray:
    """(H, W) labels from 1; 0 outside.

    In a noisy image superpixels that follow every grain fall to pieces, which are joined into one. The compactness is
    then raised until there are at least half as many superpixels as wanted.
    """
    green = image[1].detach().cpu().numpy().astype(np.float64)
    for compactness in (0.1, 0.3, 1.0, 10.0):
        labels = slic(
            green, n_segments=segments, compactness=compactness, mask=inside, channel_axis=None, start_label=1
        )
        if 2 * len(np.unique(labels[inside])) >= min(segments, inside.sum()):
            break
    return np.where(inside, labels, 0)


def _tiles(inside: np.ndarray, segments: int) -> np.ndarray:
    """As :func:`_slic`; the grid begins at the corner of the field of view."""
    side = max(1, round(float(np.sqrt(inside.sum() / segments))))
    y, x = np.indices(inside.shape)
    y, x = (y - np.flatnonzero(inside.any(1))[0]) // side, (x - np.flatnonzero(inside.any(0))[0]) // side
    labels = np.where(inside, y * inside.shape[1] + x + 1, 0)
    # A sliver's value would be spread over few pixels, which would stand out in the map.
    _values, index, area = np.unique(labels[inside], return_inverse=True, return_counts=True)
    labels[inside] *= area[index] >= np.minimum(side**2 / 4, area.max())
    return labels


def spread(values: np.ndarray, labels: np.ndarray, fov: Tensor) -> Tensor:
    """Spread region values evenly over each region's pixels in the field of view, so that the map sums to the values.

    Args:
        values: (n,).
        labels: (H, W), of :func:`superpixels`.
        fov: (H, W) bool.

    Returns:
        (H, W) float32, 0 outside the field of view.
    """
    inside = fov.numpy()
    density = np.asarray(values, np.float64) / np.bincount(labels[inside], minlength=len(values))
    return torch.from_numpy(np.where(inside, density[labels], 0).astype(np.float32))
