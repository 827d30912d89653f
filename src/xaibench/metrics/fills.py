"""What a removed pixel is replaced with in deletion and insertion curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.fft import dctn, idctn

from xaibench.errors import UserError
from xaibench.metrics.inpaint import solve_inpaint

Filler = Callable[[np.ndarray], np.ndarray]

FILLS: tuple[str, ...] = ("inpaint", "blur", "mean", "zero")
NOISE = 0.01  # standard deviation of the noise that `inpaint` adds
# Both in px at DRIVE's scale. The widest vessels there are about 10 px across: a Gaussian of σ 10 leaves no more than a
# shade of them, one of σ 40 nothing but the illumination and the glow of the optic disc.
BLUR_SIGMA = 10.0
MEAN_SIGMA = 40.0


def prepare_fill(name: str, image: np.ndarray, fov: np.ndarray, *, scale: float, rng: np.random.Generator) -> Filler:
    """Get a fill ready for one image; what it returns serves all steps and all methods on that image.

    * ``inpaint``: each removed pixel is the weighted mean of its eight neighbours, solved for all at once, plus
      Gaussian noise of standard deviation .01, clipped to [0, 1] (only the noise can lead out of it). The noise is one
      field, drawn here, so that two steps differ in nothing but the pixels removed. Noisy linear imputation: ROAD (Rong
      et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods"). With everything removed,
      the mean colour of the field of view plus noise.
    * ``blur``: Gaussian, σ = 10 px × scale, of the pixels inside the field of view alone (normalised convolution).
    * ``mean``: the local mean of the field of view, the same with σ = 40 px × scale.
    * ``zero``: black. The bad example: it paints edges that a network takes for vessels.

    Args:
        name: one of :data:`FILLS`.
        image: (3, H, W) float32 RGB in [0, 1].
        fov: (H, W) bool, the field of view. What lies outside is no part of the picture: it is never removed and enters
            no filled value.
        scale: size of a DRIVE pixel in pixels of this image, see :attr:`xaibench.data.case.Case.scale`.
        rng: draws the noise of ``inpaint``; the others leave it untouched.

    Returns:
        A function from the removed pixels, (H, W) bool, to a new picture, (3, H, W) float32 in [0, 1], equal to the
        image wherever nothing is removed or outside the field of view. It keeps no state between calls.

    Raises:
        UserError: if there is no fill of that name.

    Example:
        >>> image, fov = np.full((3, 8, 8), 0.5, np.float32), np.ones((8, 8), bool)
        >>> fill = prepare_fill("blur", image, fov, scale=0.1, rng=np.random.default_rng(0))
        >>> bool(np.allclose(fill(fov), 0.5))
        True
    """
    if name == "inpaint":
        noise = rng.normal(0, NOISE, image.shape).astype(np.float32)
        return lambda removed: _noisy(solve_inpaint(image, removed, fov), noise, removed & fov)
    if name == "blur":
        filler = _blur_inside(image, fov, BLUR_SIGMA * scale)
    elif name == "mean":
        filler = _blur_inside(image, fov, MEAN_SIGMA * scale)
    elif name == "zero":
        filler = np.zeros_like(image)
    else:
        raise UserError(f"There is no fill called {name!r}.", f"The fills are {', '.join(FILLS)}.")
    return lambda removed: np.where(removed & fov, filler, image)


def _noisy(picture: np.ndarray, noise: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.where(where, np.clip(picture + noise, 0, 1), picture)


def _blur_inside(image: np.ndarray, fov: np.ndarray, sigma: float) -> np.ndarray:
    """(3, H, W) float32 in [0, 1]: Gaussian mean of the pixels inside the field of view, 0 outside it."""
    weight = _gaussian(fov.astype(np.float32), sigma)
    total = _gaussian(np.where(fov, image, 0).astype(np.float32), sigma)
    mean: np.ndarray = np.clip(np.divide(total, weight, out=np.zeros_like(total), where=fov), 0, 1)
    return mean


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of the last two axes, mirrored at the frame; by cosine transform, at a cost that σ does not change."""
    height, width = values.shape[-2:]
    response = np.outer(
        np.exp(-0.5 * (sigma * np.pi * np.arange(height) / height) ** 2),
        np.exp(-0.5 * (sigma * np.pi * np.arange(width) / width) ** 2),
    ).astype(np.float32)
    blurred: np.ndarray = idctn(dctn(values, axes=(-2, -1)) * response, axes=(-2, -1))
    return blurred
