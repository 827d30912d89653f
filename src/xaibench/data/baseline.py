"""Baselines: reference images without evidence for path, Shapley and perturbation methods."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from xaibench.data.blur import BLUR_SIGMA, MEAN_SIGMA, blurs_inside
from xaibench.errors import UserError
from xaibench.vocabulary import REFERENCES


def reference_image(name: str, image: Tensor, fov: Tensor, scale: float) -> Tensor:
    """An image of the same eye without its vessels.

    Args:
        name: ``"blur"``: Gaussian blur inside the field of view, wider than the widest vessel; ``"mean"``: a wider one;
            ``"zero"``: black, the default of most toolkits, which no network has seen inside a field of view.
        image: (3, H, W) in [0, 1].
        fov: (H, W) bool.
        scale: size of a DRIVE pixel in pixels of this image, see :attr:`xaibench.data.case.Case.scale`.

    Returns:
        (3, H, W) float32 on the image's device; outside the field of view it equals the image, so that nothing is
        attributed there.

    Raises:
        UserError: if there is no reference of that name.
    """
    if name not in REFERENCES:
        raise UserError(f"There is no baseline called {name!r}.", f"The baselines are {', '.join(REFERENCES)}.")
    inside = fov.to(image.device)
    if name == "zero":
        return torch.where(inside, torch.zeros_like(image), image)
    return _blurs(image, fov)(scale * (BLUR_SIGMA if name == "blur" else MEAN_SIGMA))


def random_references(image: Tensor, fov: Tensor, scale: float) -> Callable[[np.random.Generator], Tensor]:
    """A function that draws blurred references, σ log-uniform from half that of ``"blur"`` to that of ``"mean"``."""
    blurred = _blurs(image, fov)
    return lambda rng: blurred(scale * float(np.exp(rng.uniform(np.log(BLUR_SIGMA / 2), np.log(MEAN_SIGMA)))))


def _blurs(image: Tensor, fov: Tensor) -> Callable[[float], Tensor]:
    """A function of σ in px: the image blurred inside the field of view."""
    blurred, inside = blurs_inside(image.detach().cpu().numpy(), fov.numpy()), fov.to(image.device)
    return lambda sigma: torch.where(inside, torch.from_numpy(blurred(sigma)).to(image.device), image)
