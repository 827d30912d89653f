"""Vessel caliber at each pixel, the scale of an image, and the definition of thin vessels."""

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

THIN_RADIUS = 1.5  # px at DRIVE's scale, 24 µm/px
DRIVE_FOV_DIAMETER = 540.0  # px
MARGIN = 32  # px added around a mask, more than the widest vessel of a high-resolution image


def caliber_map(vessels: np.ndarray) -> np.ndarray:
    """Radius of the vessel at each vessel pixel: that of the nearest skeleton pixel.

    The radius at a skeleton pixel is its Euclidean distance to the centre of the nearest background pixel. Depending on
    how a line lies on the pixel grid, that differs from the true radius by up to 0.75 px (a line along the grid, 3 px
    wide, measures 2 px and not 1.5 px). Over the phantoms, whose radii are known, the median error is below 0.5 px.

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
    # A vessel continues beyond the image: without the padding its last pixels would look narrow or split.
    padded = np.pad(vessels, MARGIN, mode="edge")
    skeleton = skeletonize(padded)
    edt = distance_transform_edt(padded)
    nearest = distance_transform_edt(~skeleton, return_distances=False, return_indices=True)
    radius = edt[tuple(nearest)][MARGIN:-MARGIN, MARGIN:-MARGIN]
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
