"""Frangi's vesselness, a vessel filter independent of any network."""

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.filters import frangi

SCALES = (1.0, 1.5, 2.0, 3.0, 4.0)  # px: radii of DRIVE's vessels
RIM = 3.0  # px at DRIVE's scale: width of the field's outermost part, which the aperture darkens
PLANE = 3.0  # px at DRIVE's scale: s.d. of the Gaussian weights with which planes are fitted beyond the edge


def vesselness(green: np.ndarray, fov: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """Frangi's vesselness of the green channel at scales of 1 to 4 px [frangi1998].

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
    response = frangi(continued(green, fov, scale=scale), sigmas=sigmas, black_ridges=True)
    return np.where(fov, response, 0).astype(np.float32)


def continued(green: np.ndarray, fov: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """Continue the green channel beyond the edge of the field of view, which would be the strongest ridge and edge.

    Each pixel there takes the value of the plane that fits the field of view around it best (normalised convolution of
    first order, [knutsson1993]), so that light that falls off towards the edge continues to fall: a constant or
    mirrored continuation leaves a valley along the edge, which gets up to four fifths of the filter's response.
    The outermost pixels of the field, darkened by the aperture, are replaced, too.

    Args:
        green: (H, W) in [0, 1].
        fov: (H, W) bool, not empty.
        scale: size of a DRIVE pixel in this image's pixels.

    Returns:
        (H, W) float64 in [0, 1], equal to the green channel inside; the frame of the image is no edge.
    """
    inside = distance_transform_edt(fov) > RIM * scale if not fov.all() else fov
    if not inside.any():
        inside = fov
    y, x = np.mgrid[: fov.shape[0], : fov.shape[1]].astype(np.float64)
    weight = inside.astype(np.float64)
    value = np.where(inside, green, 0.0)

    def around(values: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(values, PLANE * scale, mode="constant", truncate=5.0))

    total = np.maximum(around(weight), 1e-12)
    mx, my, mv = (around(v) / total for v in (weight * x, weight * y, value))
    xx, xy, yy = (around(weight * p) / total - m for p, m in ((x * x, mx * mx), (x * y, mx * my), (y * y, my * my)))
    xv, yv = around(value * x) / total - mx * mv, around(value * y) / total - my * mv
    area = xx * yy - xy * xy
    known = (total > 1e-4) & (area > 1e-3)
    area = np.where(known, area, 1.0)
    plane = mv + ((yy * xv - xy * yv) * (x - mx) + (xx * yv - xy * xv) * (y - my)) / area
    plane = np.where(known, plane, green[inside].mean())
    return np.where(inside, green, np.clip(plane, 0, 1)).astype(np.float64)
