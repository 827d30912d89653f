"""How wide a vessel is at each of its pixels, and which vessels count as thin."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

THIN_RADIUS = 1.5  # px at DRIVE's scale, 24 µm/px
DRIVE_FOV_DIAMETER = 540.0  # px


def caliber_map(vessels: np.ndarray) -> np.ndarray:
    """Radius of the vessel at each vessel pixel: that of the nearest skeleton pixel.

    The radius at a skeleton pixel is its Euclidean distance to the nearest background pixel's centre. On a pixel grid
    that is between 0 and half a pixel more than the true radius, which a line that happens to lie well on the grid
    shows at worst (a line three pixels wide measures 2, not 1.5); over the phantoms, whose radii are known, the median
    error is below half a pixel (a test holds this).

    Args:
        vessels: (H, W) bool.

    Returns:
        (H, W) float32 in px, 0 off the vessels.

    Example:
        >>> line = np.zeros((9, 9), bool); line[3:6] = True        # three pixels wide
        >>> float(caliber_map(line)[4, 4])
        2.0
    """
    vessels = np.asarray(vessels, bool)
    if not vessels.any():
        return np.zeros(vessels.shape, np.float32)
    # A vessel that leaves the picture goes on: without the padding its last pixels would look narrow or split.
    padded = np.pad(vessels, 8, mode="edge")
    skeleton = skeletonize(padded)
    edt = distance_transform_edt(padded)
    nearest = distance_transform_edt(~skeleton, return_distances=False, return_indices=True)
    radius = edt[tuple(nearest)][8:-8, 8:-8]
    return np.where(vessels, radius, 0).astype(np.float32)


def fov_scale(fov: np.ndarray) -> float:
    """Size of a DRIVE pixel in this image's pixels: the diameter of the field of view / 540.

    The diameter is the larger side of the bounding box, since a field of view may be cut off at top and bottom.
    """
    rows, cols = np.flatnonzero(fov.any(1)), np.flatnonzero(fov.any(0))
    if rows.size == 0:
        return 1.0
    return float(max(rows[-1] - rows[0], cols[-1] - cols[0]) + 1) / DRIVE_FOV_DIAMETER


def is_thin(caliber: np.ndarray, scale: float, radius: float = THIN_RADIUS) -> np.ndarray:
    """(H, W) bool: caliber in (0, radius × scale]."""
    return (caliber > 0) & (caliber <= radius * scale)
