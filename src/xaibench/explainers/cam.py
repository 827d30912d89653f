"""Class activation maps: the channels of one layer, weighted, summed and rectified.

A_k is the activation of channel k, g_k the gradient of the target's mean logit with respect to A_k, both (h, w). Maps
are not scaled to [0, 1], which would make maps of two images incomparable.

Most of the formulas were derived for layers behind a ReLU. All layers of the bundled attention U-Nets except ``last``
are such layers, and so are the decoders of the U-Nets. The encoders and the bottleneck of the U-Nets, and all layers of
the SegResNets, are residual sums: about half of their values are negative.
"""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaibench.errors import Skipped
from xaibench.models.layers import find_layer, output_of, pixel_centre
from xaibench.parameter_checks import at_least
from xaibench.registry import explainer
from xaibench.scorer import Scorer
from xaibench.scorer.batching import evaluating
from xaibench.scorer.local_forward import digest

LARGEST_STRIDE = 32  # px, total stride of a network; padding to a multiple of it adds less than this
SPACE = (1, 2)  # the spatial axes of (K, h, w)
NOISE = 1e-6  # share of Σ|A| below which ΣA is the rounding error of values that cancel


@explainer("gradcam", family="cam", paper="selvaraju2017")
def gradcam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck") -> Tensor:
    """Grad-CAM of the target's mean logit at one layer (Seg-Grad-CAM).

    The weight of a channel is the mean of its gradient over the layer's pixels:  ReLU(Σ_k mean(g_k) A_k)
    ([selvaraju2017], eq. 1 and 2, with the target of [vinogradova2020]: the mean over the target's pixels).

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        layer: the network's own name of a layer (in the bundled networks ``encoder-1`` … ``encoder-4``,
            ``bottleneck``, ``decoder-1/4``, ``decoder-1/2``, ``decoder-1/1``, ``last``), or the full name of a module.
            ``bottleneck`` is the coarsest layer and the usual choice; ``last`` is the last convolution, whose single
            channel in a U-Net is the logit map itself.

    Returns:
        (H, W) float32, >= 0.

    Raises:
        UserError: if there is no such layer.
        Skipped: if the score does not depend on the layer, or its output is not a feature map.
    """
    activation, gradient = activation_and_gradient(scorer, image, layer)
    return _map(scorer, image, activation * gradient.mean(dim=SPACE, keepdim=True))


@explainer("gradcam++", family="cam", paper="chattopadhay2018")
def gradcam_plus_plus(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck") -> Tensor:
    """Grad-CAM with weights that sum positive gradients only, each divided by 2 + ΣA_k g (Grad-CAM++).

    ReLU(Σ_k w_k A_k),  w_k = Σ α ReLU(g_k),  α = g_k² / (2 g_k² + ΣA_k · g_k³)  at every pixel, 0 where g_k is 0
    [chattopadhay2018]. The score in the paper is the exponential of a logit, which multiplies all channels by the same
    positive factor; the factor is left out. α is computed as 1 / (2 + ΣA_k g_k): the target is a mean over many pixels,
    so squared gradients are far below the 1e-6 that other implementations add to the denominator. The formula was
    derived for a layer behind a ReLU, where α is in (0, 1/2]. At ``last``, where logits are mostly negative, α can be
    negative and invert the map.

    Args, returns and raises as :func:`gradcam`.
    """
    activation, gradient = activation_and_gradient(scorer, image, layer)
    denominator = 2 + activation.sum(dim=SPACE, keepdim=True) * gradient
    pixelwise = torch.where(denominator == 0, 0, torch.relu(gradient) / denominator)
    return _map(scorer, image, activation * pixelwise.sum(dim=SPACE, keepdim=True))


@explainer("xgradcam", family="cam", paper="fu2020")
def xgradcam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck") -> Tensor:
    """Grad-CAM with activation-weighted means of the gradients as weights (XGrad-CAM).

    ReLU(Σ_k w_k A_k),  w_k = ΣA_k g_k / ΣA_k  [fu2020]: to first order, channel k contributes the same to the sum of
    the map as to the score. The formula was derived for a layer behind a ReLU. Elsewhere activations can cancel. A
    channel whose sum is zero up to rounding is left out; a channel whose sum is nearly zero gets a large weight of
    either sign. The bottleneck of the bundled U-Nets is such a layer (a residual sum without a ReLU), and on some
    images one channel outweighs all others, so scores vary strongly between images. At ``last``, where ΣA_k is negative
    and ΣA_k g_k is not, the formula inverts the map.

    Args, returns and raises as :func:`gradcam`.
    """
    activation, gradient = activation_and_gradient(scorer, image, layer)
    terms = activation * gradient, activation, activation.abs()
    product, total, size = (term.sum(dim=SPACE, keepdim=True) for term in terms)
    return _map(scorer, image, activation * torch.where(total.abs() <= NOISE * size, 0, product / total))


@explainer("hirescam", family="cam", paper="draelos2020")
def hirescam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck") -> Tensor:
    """Activation times gradient, pixel by pixel, summed over the channels:  ReLU(Σ_k g_k ⊙ A_k)  [draelos2020].

    Where only linear operations follow the layer, the map before the ReLU sums to the score without the biases' share.

    Args, returns and raises as :func:`gradcam`.
    """
    activation, gradient = activation_and_gradient(scorer, image, layer)
    return _map(scorer, image, activation * gradient)


@explainer("layercam", family="cam", paper="jiang2021")
def layercam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck") -> Tensor:
    """Activation times positive gradient, pixel by pixel:  ReLU(Σ_k ReLU(g_k) ⊙ A_k)  [jiang2021].

    Args, returns and raises as :func:`gradcam`.
    """
    activation, gradient = activation_and_gradient(scorer, image, layer)
    return _map(scorer, image, activation * torch.relu(gradient))


@explainer("seg-xrescam", family="cam", paper="hasany2023")
def seg_xrescam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck", window: int = 2) -> Tensor:
    """Activation times the gradient's mean over windows, between HiResCAM and Grad-CAM (Seg-XRes-CAM).

    ReLU(Σ_k ḡ_k ⊙ A_k),  ḡ_k constant in each window [hasany2023]. Windows tile the layer from the upper left; a window
    that the border cuts averages the pixels that remain. The authors' program differs: it pads with zeros, stretches
    the windows where they do not divide the layer, and takes each window's maximum by default.

    Args, returns and raises as :func:`gradcam`, and:

    Args:
        window: side in pixels of the layer, >= 1; 1 gives HiResCAM, the width of the layer Grad-CAM.
    """
    at_least(1, "window", window)
    activation, gradient = activation_and_gradient(scorer, image, layer)
    window = min(window, max(gradient.shape))
    pooled = F.avg_pool2d(gradient, window, ceil_mode=True)
    y, x = (torch.arange(n, device=gradient.device) // window for n in gradient.shape[1:])
    return _map(scorer, image, activation * pooled[:, y[:, None], x])


@explainer("scorecam", family="cam", paper="wang2020")
def scorecam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck", baseline: str = "blur") -> Tensor:
    """Channels weighted by the rise of the score when only their active region is visible (Score-CAM).

    ReLU(Σ_k w_k A_k),  w_k = score(M_k x + (1 - M_k) x₀) - score(x₀)  [wang2020], where M_k is A_k upsampled and scaled
    to [0, 1] over the field of view; outside it nothing is hidden. A channel that is constant there is left out. The
    method costs one pass for each other channel, and two more.

    The paper hides with black; here a baseline hides, since a black hole has an edge that no eye has. Other
    implementations take a softmax of the scores over the channels. That suits probabilities; with logits it keeps the
    one channel that leads by a few units, or all channels alike, and gives channels that lower the score a positive
    weight.

    Args, returns and raises as :func:`gradcam` (no gradient is needed, so none can be missing), and:

    Args:
        baseline: x₀, see :func:`~xaibench.data.baseline.reference_image`.
    """
    image = image.detach().to(scorer.device)
    reference = scorer.reference(baseline, image)
    activation = _activation(scorer, image, _layer(scorer, image, layer), layer)
    inside = scorer.target.fov.to(scorer.device)
    varying: list[int] = []

    def masked() -> Iterator[Tensor]:
        yield reference
        for k, channel in enumerate(activation):
            mask = enlarge(channel, image.shape[1:], pixel_centre(scorer.model))
            low, high = mask[inside].aminmax()
            if high > low:
                varying.append(k)
                yield torch.lerp(reference, image, (mask - low) / (high - low))

    values = np.array(scorer.shared.scores(masked()))
    weights = activation.new_zeros(len(activation))
    weights[varying] = torch.from_numpy(values[1:] - values[0]).to(weights)
    return _map(scorer, image, activation * weights[:, None, None])


@explainer("ablationcam", family="cam", paper="desai2020")
def ablationcam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck") -> Tensor:
    """Channels weighted by the fall of the score when they are set to zero, one pass each (Ablation-CAM).

    ReLU(Σ_k w_k A_k),  w_k = score - score without channel k  [desai2020]. The paper divides by the score, a factor
    common to all channels; a logit can be near 0 or negative, and the division would then invert the map. A channel
    that is zero everywhere costs no pass.

    Args, returns and raises as :func:`gradcam` (no gradient is needed, so none can be missing).
    """
    module = _layer(scorer, image, layer)
    activation = _activation(scorer, image, module, layer)
    name = f"{layer} ".encode() + digest(image)
    whole = scorer.shared.scores([image])[0]
    logits = scorer.partial_forward(image, module)
    weights = activation.new_zeros(len(activation))
    for k in activation.flatten(1).any(dim=1).nonzero().flatten():
        zeroed = partial(logits, partial(Tensor.index_fill, dim=1, index=k, value=0))
        weights[k] = whole - scorer.shared.score_of(b"%d %b" % (k, name), zeroed)
    return _map(scorer, image, activation * weights[:, None, None])


@explainer("eigencam", family="cam", paper="muhammad2020")
def eigencam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck") -> Tensor:
    """First principal component of the layer's activations, independent of the target (Eigen-CAM).

    ReLU(Σ_k v_k A_k),  v the first right singular vector of the (pixels × channels) activations, which are not centred
    [muhammad2020]. Its sign is arbitrary; here the value farthest from zero is positive, so that no map is empty and a
    layer behind a ReLU loses nothing. The whole frame enters, as in the paper, including the black surround, which
    dominates the component of a coarse layer. At ``last`` the component can show the background, where logits are as
    far from zero as on vessels.

    Args, returns and raises as :func:`gradcam` (no score is needed, so none can be missing).
    """
    activation = _activation(scorer, image, _layer(scorer, image, layer), layer)
    pixels = activation.flatten(1).double()
    v = torch.linalg.eigh(pixels @ pixels.T).eigenvectors[:, -1]
    low, high = (v @ pixels).aminmax()
    return _map(scorer, image, activation * torch.where(-low > high, -v, v).to(activation)[:, None, None])


def activation_and_gradient(scorer: Scorer, image: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """The activation of a layer for an image, and the score's gradient with respect to it, each (K, h, w)."""
    module = _layer(scorer, image, layer)
    with torch.enable_grad(), output_of(module) as outputs:
        # The input requires a gradient, so that a network with frozen weights is differentiable at the layer, too.
        score = scorer(image[None].to(scorer.device).detach().requires_grad_())
        output = _feature_map(outputs, layer)
        (gradient,) = torch.autograd.grad(score.sum(), output, allow_unused=True)
    if gradient is None:
        raise Skipped(f"the score does not depend on layer {layer!r}")
    return _whole(output[0].detach()), _whole(gradient[0])


def _activation(scorer: Scorer, image: Tensor, module: nn.Module, layer: str) -> Tensor:
    """The activation of a layer for an image, (K, h, w), at its last call in the pass."""
    with torch.no_grad(), output_of(module) as outputs:
        scorer.logits(image[None])
    return _whole(_feature_map(outputs, layer)[0])


def _layer(scorer: Scorer, image: Tensor, layer: str) -> nn.Module:
    with evaluating(scorer.model):  # finding it may take a pass, in which batch norms must not learn
        return find_layer(scorer.model, layer, image.to(scorer.device))


def _feature_map(outputs: list[Tensor], layer: str) -> Tensor:
    if not outputs or not isinstance(outputs[-1], Tensor) or outputs[-1].ndim != 4:
        raise Skipped(f"layer {layer!r} gave no feature map (N, K, h, w) in the forward pass")
    return outputs[-1]


def _whole(values: Tensor) -> Tensor:
    """The values in float32 at least; a network in reduced precision gives less."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _map(scorer: Scorer, image: Tensor, weighted: Tensor) -> Tensor:
    """The positive part of the sum of weighted channels (K, h, w), upsampled to (H, W)."""
    return enlarge(torch.relu(weighted.sum(dim=0)), image.shape[1:], pixel_centre(scorer.model))


def enlarge(coarse: Tensor, size: tuple[int, ...] | torch.Size, centre: float = 0.5) -> Tensor:
    """Upsample (h, w) linearly to (H, W), each coarse pixel placed at the centre of its receptive field.

    Where the network padded its input to a multiple of its stride, the coarse map covers more than the image: it is
    upsampled by the whole factor and cropped, so that its pixels keep their places. Where poolings dropped a remainder,
    it covers less: its last pixels are repeated.

    Args:
        coarse: (h, w).
        size: (H, W).
        centre: position of a coarse pixel, see :func:`~xaibench.models.layers.pixel_centre`. Plain bilinear upsampling
            assumes 0.5. Strided 3 × 3 convolutions have 0; assuming 0.5 there would shift the map right and down by
            half the factor less half a pixel: 3.5 px at 1/8, more than a thin vessel is wide.
    """
    height, width = size
    # Resolutions are powers of two, and a padded map exceeds the image by less than the total stride.
    ratio = math.log2(max(height / coarse.shape[0], width / coarse.shape[1]))
    factor, pooled = 2 ** math.ceil(ratio), 2 ** math.floor(ratio)
    full = coarse.shape[0] * factor, coarse.shape[1] * factor
    divides = height % coarse.shape[0] == width % coarse.shape[1] == 0
    covers = not divides and all(s <= f < s + LARGEST_STRIDE for s, f in zip(size, full, strict=True))
    rest = not (divides or covers) and all(s // pooled == n for s, n in zip(size, coarse.shape, strict=True))
    for axis, (n, wanted) in enumerate(zip(coarse.shape, size, strict=True)):
        scale = float(factor) if covers else float(pooled) if rest else wanted / n
        place = (torch.arange(wanted, device=coarse.device) - centre * (scale - 1)) / scale
        place = place.clamp(0, n - 1)
        below = place.long().clamp(max=max(n - 2, 0))
        share = (place - below).to(coarse.dtype).unsqueeze(1 - axis)
        low, high = coarse.index_select(axis, below), coarse.index_select(axis, (below + 1).clamp(max=n - 1))
        coarse = low + share * (high - low)
    return coarse
