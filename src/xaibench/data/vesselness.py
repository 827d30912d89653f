"""How much a place looks like a vessel to a filter that knows no network."""

from __future__ import annotations

import numpy as np
from skimage.filters import frangi

from xaibench.data.blur import blur_inside

SCALES = (1.0, 1.5, 2.0, 3.0, 4.0)  # px: radii of DRIVE's vessels
BACKGROUND = 15.0  # px: s.d. of the Gaussian that continues the background, wider than the widest vessel


def vesselness(green: np.ndarray, fov: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """Frangi's vesselness of the green channel at scales of 1 to 4 px (Frangi 1998).

    Args:
        green: (H, W) in [0, 1].
        fov: (H, W) bool, not empty.
        scale: size of a DRIVE pixel in this image's pixels; multiplies the filter's scales.

    Returns:
        (H, W) float32, >= 0; dark tubes on a bright ground are high; 0 outside the field of view.

    Example:
        >>> green = np.full((40, 40), 0.6); green[20] = 0.3
        >>> map_ = vesselness(green, np.ones((40, 40), bool))
        >>> bool(map_[20, 20] > 100 * map_[10, 20])
        True
    """
    sigmas = [sigma * scale for sigma in SCALES]
    return np.where(fov, frangi(filled(green, fov), sigmas=sigmas, black_ridges=True), 0).astype(np.float32)


def filled(green: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """(H, W) float64 green channel, its background continued beyond the edge of the field of view, which would be the
    strongest ridge and edge of all."""
    return np.where(fov, green, blur_inside(green, fov, BACKGROUND)).astype(np.float64)
