"""Maps no method should lose to: chance, the picture's own contrast, a vessel filter, the prediction, the truth."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage.filters import frangi as frangi_filter
from torch import Tensor

from xaibench.data.case import Case
from xaibench.registry import explainer
from xaibench.scorer import Scorer


@explainer("random", family="control", control=True)
def random(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Independent uniform noise: chance."""
    return torch.from_numpy(rng.random(tuple(image.shape[1:]), dtype=np.float32))


@explainer("prediction", family="control", control=True)
def prediction(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """The network's own probability map: what one sees without explaining anything."""
    with torch.inference_mode():
        map_ = scorer.logits(image[None]).sigmoid()[0, 0]
    return map_.clone()


@explainer("green-contrast", family="control", control=True)
def green_contrast(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, sigma: float = 15.0) -> Tensor:
    """Inverted green channel less its background: how much darker a pixel is than its surroundings.

    Args:
        scorer: for its field of view.
        image: (3, H, W) in [0, 1].
        rng: not used.
        sigma: s.d. of the Gaussian that gives the background, px; wider than the widest vessel.

    Returns:
        (H, W) float32, 0 where a pixel is as bright as its background or brighter.
    """
    green, fov = image[1].cpu().numpy(), scorer.target.fov.numpy()
    return torch.from_numpy(np.where(fov, np.maximum(background(green, fov, sigma) - green, 0), 0).astype(np.float32))


@explainer("frangi", family="control", control=True)
def frangi(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Vesselness of the green channel (Frangi 1998) at scales of 1 to 4 px: a vessel filter that knows no network.

    Returns:
        (H, W) float32, >= 0; dark tubes on a bright ground are high.
    """
    green, fov = image[1].cpu().numpy(), scorer.target.fov.numpy()
    # The edge of the field of view is the strongest ridge of all: continue the background over it.
    filled = np.where(fov, green, background(green, fov, 15.0))
    vesselness = frangi_filter(filled.astype(np.float64), sigmas=(1, 1.5, 2, 3, 4), black_ridges=True)
    return torch.from_numpy(np.where(fov, vesselness, 0).astype(np.float32))


@explainer("vessels-oracle", family="control", control=True, sees_labels=True)
def vessels_oracle(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, case: Case) -> Tensor:
    """The true vessels, 1 on them and 0 elsewhere: the ceiling of localisation. It sees the labels."""
    return case.vessels.float()


def background(channel: np.ndarray, fov: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean of a channel over field-of-view pixels only, (H, W); continued smoothly outside.

    Far outside, where no pixel of the field of view has weight, it is the mean over the field of view.
    """
    weight = gaussian_filter(fov.astype(np.float64), sigma)
    total = gaussian_filter(np.where(fov, channel, 0).astype(np.float64), sigma)
    mean = float(channel[fov].mean())
    return np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), mean)
