"""Class activation maps of a segmentation network."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from xaibench.errors import Skipped
from xaibench.model.layers import find_layer, output_of
from xaibench.registry import explainer
from xaibench.scorer import Scorer
from xaibench.scorer.engine import evaluating

LARGEST_STRIDE = 32  # px, of a whole network; one that pads its input to a multiple adds less


@explainer("gradcam", family="cam")
def gradcam(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, layer: str = "bottleneck") -> Tensor:
    """Grad-CAM of the target's mean logit at one layer (Seg-Grad-CAM).

    The channels A_k of the layer are weighted by the mean over its pixels of d(score)/dA_k, summed, and the positive
    part is brought to the image's size (Selvaraju 2017, eq. 1 and 2, with the target of Vinogradova 2020: the mean
    over the target's pixels). It is not scaled to [0, 1], which would make maps of two images incomparable.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: not used; the method has no chance in it.
        layer: a name that the network gives its layers (for the built-in ones ``encoder-1`` … ``encoder-4``,
            ``bottleneck``, ``decoder-1/4``, ``decoder-1/2``, ``decoder-1/1``, ``last``), or a module's full name.
            ``bottleneck`` is the coarsest, the usual choice; ``last`` is the last convolutional layer, whose single
            channel in a U-Net is the logit map itself.

    Returns:
        (H, W) float32, >= 0.

    Raises:
        UserError: if there is no such layer.
        Skipped: if the score does not depend on the layer, or the layer's output is no feature map.
    """
    activation, gradient = activation_and_gradient(scorer, image, layer)
    weights = gradient.mean(dim=(1, 2))
    return enlarge(torch.relu(torch.einsum("k,khw->hw", weights, activation)), image.shape[1:])


def activation_and_gradient(scorer: Scorer, image: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """What a layer gives for an image, and the score's gradient with respect to it, each (K, h, w)."""
    with evaluating(scorer.model):  # it may take a pass, in which batch norms must learn nothing
        module = find_layer(scorer.model, layer, image.to(scorer.device))
    with torch.enable_grad(), output_of(module) as outputs:
        # The input asks for gradients so that networks with frozen weights are differentiable at the layer, too.
        score = scorer(image[None].to(scorer.device).detach().requires_grad_())
        if not outputs or not isinstance(outputs[-1], Tensor) or outputs[-1].ndim != 4:
            raise Skipped(f"layer {layer!r} gave no feature map (N, K, h, w) in the forward pass")
        (gradient,) = torch.autograd.grad(score.sum(), outputs[-1], allow_unused=True)
    if gradient is None:
        raise Skipped(f"the score does not depend on layer {layer!r}")
    return outputs[-1][0].detach(), gradient[0]


def enlarge(coarse: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """(h, w) to (H, W), bilinear.

    Where the network padded its input to a multiple of its stride, the coarse map covers more than the image: then it
    is enlarged by the whole factor and cut, so that its pixels keep their places.
    """
    height, width = size
    # A U-Net's resolutions are halvings. Its padding is less than its total stride at every one of its layers, so that
    # at full resolution, too, a map can be several pixels larger than the image.
    factor = 2 ** math.ceil(math.log2(max(height / coarse.shape[0], width / coarse.shape[1])))
    full = coarse.shape[0] * factor, coarse.shape[1] * factor
    divides = height % coarse.shape[0] == width % coarse.shape[1] == 0
    covers = not divides and all(s <= f < s + LARGEST_STRIDE for s, f in zip(size, full, strict=True))
    map_ = F.interpolate(coarse[None, None], full if covers else (height, width), mode="bilinear", align_corners=False)
    return map_[0, 0, :height, :width].contiguous()
