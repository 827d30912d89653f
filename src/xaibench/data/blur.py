"""Blurring a picture inside its field of view, so that the black surround does not leak in."""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn

# Both in px at DRIVE's scale. The widest vessels there are about 10 px across: a Gaussian of σ 10 leaves no more than a
# shade of them, one of σ 40 nothing but the illumination and the glow of the optic disc.
BLUR_SIGMA = 10.0
MEAN_SIGMA = 40.0


def blur_inside(image: np.ndarray, fov: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean of the pixels inside the field of view alone (normalised convolution, Knutsson 1993).

    Args:
        image: (…, H, W) in [0, 1].
        fov: (H, W) bool, not empty.
        sigma: standard deviation, px.

    Returns:
        (…, H, W) float32 in [0, 1], continued smoothly outside the field of view; far outside, where no pixel of it
        has weight, it is the mean of each channel over the field of view.

    Example:
        >>> fov = np.zeros((9, 9), bool); fov[2:7, 2:7] = True
        >>> bool(np.allclose(blur_inside(np.where(fov, 0.5, 0.0), fov, 2.0), 0.5))
        True
    """
    weight = _gaussian(fov.astype(np.float32), sigma)
    total = _gaussian(np.where(fov, image, 0).astype(np.float32), sigma)
    mean = np.broadcast_to(image[..., fov].mean(-1, dtype=np.float64)[..., None, None], image.shape).astype(np.float32)
    blurred: np.ndarray = np.clip(np.divide(total, weight, out=mean, where=fov | (weight > 1e-3)), 0, 1)
    return blurred


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of the last two axes, mirrored at the frame; by cosine transform, at a cost that σ does not change."""
    height, width = values.shape[-2:]
    response = np.outer(
        np.exp(-0.5 * (sigma * np.pi * np.arange(height) / height) ** 2),
        np.exp(-0.5 * (sigma * np.pi * np.arange(width) / width) ** 2),
    ).astype(np.float32)
    blurred: np.ndarray = idctn(dctn(values, axes=(-2, -1)) * response, axes=(-2, -1))
    return blurred
