"""Fills: the values that replace removed pixels in pixel flipping."""

from dataclasses import dataclass

import numpy as np
import torch

from xaibench.data.blur import BLUR_SIGMA, MEAN_SIGMA, blur_inside
from xaibench.errors import UserError
from xaibench.imputation.multigrid.solve import connected_parts, solve_inpaint
from xaibench.vocabulary import FILLS

NOISE = 0.01  # standard deviation of the noise added by `inpaint`


@dataclass(frozen=True, eq=False)
class Filler:
    """A fill of one image, without state: the same removed pixels always give the same image.

    Attributes:
        image: (3, H, W) float32 in [0, 1].
        fov: (H, W) bool.
        values: (3, H, W) float32 in [0, 1], the values of removed pixels, whatever else is removed; None for
            ``inpaint``, whose values depend on the pixels that are left.
        noise: (3, H, W) float32, added by ``inpaint``.
        parts: (H, W) int, the connected parts of the field of view, for ``inpaint``.
    """

    image: np.ndarray
    fov: np.ndarray
    values: np.ndarray | None
    noise: np.ndarray | None = None
    parts: np.ndarray | None = None

    def __call__(self, removed: np.ndarray) -> np.ndarray:
        """(3, H, W) float32 in [0, 1]: equal to the image where nothing is removed and outside the field of view.

        Args:
            removed: (H, W) bool.
        """
        where = removed & self.fov
        if self.values is not None:
            mask, values, original = (torch.from_numpy(each) for each in (where, self.values, self.image))
            return torch.where(mask, values, original).numpy()  # several times faster than NumPy's
        image = solve_inpaint(self.image, removed, self.fov, parts=self.parts)
        noisy = image + self.noise
        np.copyto(image, np.clip(noisy, 0, 1, out=noisy), where=where)
        return image


def prepare_fill(name: str, image: np.ndarray, fov: np.ndarray, *, scale: float, rng: np.random.Generator) -> Filler:
    """Prepare a fill for one image, for all steps and all methods.

    * ``inpaint``: each removed pixel is the weighted mean of its eight neighbours, solved for all at once, plus
      Gaussian noise of standard deviation .01, clipped to [0, 1], which only the noise can leave. The noise is one
      field, drawn here, so that two steps differ only in the pixels removed. Noisy linear imputation: ROAD
      [rong2022]. With everything removed, the mean colour of the field of view plus noise.
    * ``blur``: Gaussian, σ = 10 px × scale, of the pixels inside the field of view only (normalised convolution).
    * ``mean``: the local mean of the field of view, the same with σ = 40 px × scale.
    * ``zero``: black. A bad fill, for comparison: it makes edges that a network takes for vessels.

    Args:
        name: one of :data:`FILLS`.
        image: (3, H, W) float32 RGB in [0, 1].
        fov: (H, W) bool, the field of view. Pixels outside are never removed and enter no filled value.
        scale: size of a DRIVE pixel in pixels of this image, see :attr:`xaibench.data.case.Case.scale`.
        rng: draws the noise of ``inpaint``; not used by the other fills.

    Returns:
        A function from the removed pixels to a new image.

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
        return Filler(image, fov, None, noise, connected_parts(fov))
    if name == "blur":
        values = blur_inside(image, fov, BLUR_SIGMA * scale)
    elif name == "mean":
        values = blur_inside(image, fov, MEAN_SIGMA * scale)
    elif name == "zero":
        values = np.zeros_like(image)
    else:
        raise UserError(f"There is no fill called {name!r}.", f"The fills are {', '.join(FILLS)}.")
    return Filler(image, fov, values)
