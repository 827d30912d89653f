"""Gaussian blur inside the field of view, into which the black surround does not leak."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.fft import dctn
from torch import Tensor

# Both in px at DRIVE's scale. Vessels there are up to 11.7 px wide; one segment in a thousand is wider than 10 px. A
# Gaussian of σ 10 leaves 12 % of the contrast of a long straight vessel 3 px wide, 29 % at 7.5 px and 44 % at the
# widest; one of σ 40 leaves only the illumination and the glow of the optic disc.
BLUR_SIGMA = 10.0
MEAN_SIGMA = 40.0

LEAST = 1e-8  # response to a frequency; less is below the rounding of the rest


def blur_inside(image: np.ndarray, fov: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean of the pixels inside the field of view alone (normalised convolution, [knutsson1993]).

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
    return blurs_inside(image, fov)(sigma)


def blurs_inside(image: np.ndarray, fov: np.ndarray) -> Callable[[float], np.ndarray]:
    """As :func:`blur_inside`, as a function of σ that computes the cosine transform once for several blurs.

    Images are mirrored at the frame. Only the frequencies that a Gaussian passes are transformed back, by products of
    small matrices: the wider the Gaussian, the fewer they are.
    """
    masked = (fov, np.where(fov, image, 0))
    spectra = [torch.from_numpy(dctn(values.astype(np.float32), axes=(-2, -1))) for values in masked]
    bases = [_cosines(n) for n in fov.shape]
    mean = torch.as_tensor(image[..., fov].mean(-1, dtype=np.float64), dtype=torch.float32)[..., None, None]
    inside = torch.from_numpy(fov)

    def blurred(sigma: float) -> np.ndarray:
        rows, columns = (torch.exp(-0.5 * (sigma * np.pi * torch.arange(n) / n) ** 2) for n in fov.shape)
        y, x = ((base * response)[:, response > LEAST] for base, response in zip(bases, (rows, columns), strict=True))
        shares, sums = (y @ values[..., : y.shape[1], : x.shape[1]] @ x.T for values in spectra)
        result = torch.where(inside | (shares > 1e-3), sums / shares, mean).clamp_(0, 1)
        return result.numpy()

    return blurred


def _cosines(n: int) -> Tensor:
    """(n, n): the inverse of the cosine transform of length n, by frequency in columns."""
    angles = torch.outer(torch.arange(n, dtype=torch.float64) + 0.5, torch.arange(n) * torch.pi / n)
    weights = torch.full((n,), 1 / n, dtype=torch.float64)
    weights[0] /= 2
    return (torch.cos(angles) * weights).float()
