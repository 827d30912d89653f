"""What a removed pixel is replaced with in deletion and insertion curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xaibench.data.blur import BLUR_SIGMA, MEAN_SIGMA, blur_inside
from xaibench.errors import UserError
from xaibench.metrics.inpaint import solve_inpaint

Filler = Callable[[np.ndarray], np.ndarray]

FILLS: tuple[str, ...] = ("inpaint", "blur", "mean", "zero")
NOISE = 0.01  # standard deviation of the noise that `inpaint` adds


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
        filler = blur_inside(image, fov, BLUR_SIGMA * scale)
    elif name == "mean":
        filler = blur_inside(image, fov, MEAN_SIGMA * scale)
    elif name == "zero":
        filler = np.zeros_like(image)
    else:
        raise UserError(f"There is no fill called {name!r}.", f"The fills are {', '.join(FILLS)}.")
    return lambda removed: np.where(removed & fov, filler, image)


def _noisy(picture: np.ndarray, noise: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.where(where, np.clip(picture + noise, 0, 1), picture)
