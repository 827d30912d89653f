"""Controls, maps that no method should lose to: noise, contrast, edges, a vessel filter, the prediction, the labels."""

import numpy as np
import torch
from skimage.filters import sobel as sobel_filter
from torch import Tensor

from xaibench.data.anatomy.vesselness import continued, vesselness
from xaibench.data.blur import blur_inside
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.models.network_interface import INTERFACE
from xaibench.registry import explainer
from xaibench.scorer import Scorer


@explainer("random", family="control", control=True, stochastic=True)
def random(image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Independent uniform noise: chance level."""
    return torch.from_numpy(rng.random(tuple(image.shape[1:]), dtype=np.float32))


@explainer("uniform", family="control", control=True)
def uniform(image: Tensor) -> Tensor:
    """The same value everywhere: a map without information."""
    return torch.ones(tuple(image.shape[1:]))


@explainer("prediction", family="control", control=True)
def prediction(scorer: Scorer, image: Tensor) -> Tensor:
    """The network's own probability map: what one sees without an explanation."""
    with torch.inference_mode():
        map_ = INTERFACE.class_maps(scorer.logits(image[None]).sigmoid())[0]
    return map_.clone()


@explainer("prediction-blurred", family="control", control=True)
def prediction_blurred(scorer: Scorer, image: Tensor, *, sigma: float = 5.0) -> Tensor:
    """The network's probability map under a Gaussian: a smooth map that only knows where vessels are.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        sigma: standard deviation of the Gaussian, px at DRIVE's scale.

    Returns:
        (H, W) float32 in [0, 1]; normalised at the border of the field of view, 0 outside it.
    """
    fov = scorer.target.fov.numpy()
    map_: Tensor = prediction(scorer, image)
    return torch.from_numpy(
        np.where(fov, blur_inside(map_.cpu().numpy(), fov, sigma * scorer.target.scale), 0).astype(np.float32)
    )


@explainer("prediction-of-target", family="control", control=True)
def prediction_of_target(scorer: Scorer, image: Tensor) -> Tensor:
    """The network's probability on the target, 0 elsewhere: the question itself as a map.

    The control for targets that are a part of the predicted vessels, where ``prediction`` marks the other parts, too.
    For a target that depends on labels, such as false positives, it shows the labels that the target contains.
    """
    map_: Tensor = prediction(scorer, image)
    return map_ * scorer.target.mask.to(map_)


@explainer("green-contrast", family="control", control=True)
def green_contrast(scorer: Scorer, image: Tensor, *, sigma: float = 15.0) -> Tensor:
    """Background of the green channel minus the green channel: how much darker a pixel is than its surroundings.

    Args:
        scorer: for its field of view.
        image: (3, H, W) in [0, 1].
        sigma: standard deviation of the Gaussian background, px at DRIVE's scale; wider than the widest vessel.

    Returns:
        (H, W) float32, >= 0; 0 where a pixel is at least as bright as its background.
    """
    green, fov = image[1].cpu().numpy(), scorer.target.fov.numpy()
    background = blur_inside(green, fov, sigma * scorer.target.scale)
    return torch.from_numpy(np.where(fov, np.maximum(background - green, 0), 0).astype(np.float32))


@explainer("frangi", family="control", control=True, paper="frangi1998", library="scikit-image")
def frangi(scorer: Scorer, image: Tensor) -> Tensor:
    """Vesselness of the green channel at scales of 1 to 4 px of DRIVE: a vessel filter without a network.

    Returns:
        (H, W) float32, >= 0; dark tubes on a bright ground are high.
    """
    return torch.from_numpy(vesselness(image[1].cpu().numpy(), scorer.target.fov.numpy(), scale=scorer.target.scale))


@explainer("sobel", family="control", control=True, library="scikit-image")
def sobel(scorer: Scorer, image: Tensor) -> Tensor:
    """Edge strength of the green channel.

    Returns:
        (H, W) float32, >= 0.
    """
    fov = scorer.target.fov.numpy()
    map_ = sobel_filter(continued(image[1].cpu().numpy(), fov, scale=scorer.target.scale))
    return torch.from_numpy(np.where(fov, map_, 0).astype(np.float32))


@explainer("vessels-oracle", family="control", control=True, sees_labels=True)
def vessels_oracle(*, case: Case) -> Tensor:
    """The labelled vessels, 1 on them and 0 elsewhere: the ceiling of localisation. It sees the labels."""
    return case.vessels.float()


@explainer("second-observer", family="control", control=True, sees_labels=True)
def second_observer(*, case: Case) -> Tensor:
    """The second observer's vessels, 1 on them and 0 elsewhere: human agreement. It sees the labels.

    Raises:
        Skipped: if the dataset has no second observer.
    """
    if case.observer2 is None:
        raise Skipped("this image has no second observer's vessels")
    return case.observer2.float()
