"""DeepLIFT and Deep SHAP: contributions by finite differences from a baseline, operation by operation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from xaibench.data.baseline import random_references
from xaibench.explainers.backward_rules import ELEMENTWISE, PRODUCTS, Rule, Rules, check_sum, logits_by
from xaibench.explainers.custom_backward import Function, Operand, Weights, depends, with_backward
from xaibench.parameter_checks import at_least
from xaibench.registry import explainer
from xaibench.scorer import Scorer


@explainer("deeplift", family="gradient", signed=True, paper="shrikumar2017", sums_to="difference")
def deeplift(scorer: Scorer, image: Tensor, *, baseline: str = "blur") -> Tensor:
    """Contributions to the difference from a baseline, by the rescale rule (DeepLIFT).

    Image and baseline pass through the network as one batch. In the backward pass a linear operation propagates its
    multipliers as a gradient does, and a nonlinearity has the slope (difference of outputs) / (difference of inputs).
    Products of two features (attention gates) are split by the mean factors of both images, maximum poolings between
    the two winners, and group, instance and layer norms are decomposed into such steps. So the map sums to the
    difference of the scores within rounding, far below 1 %. captum's DeepLift stores its state in the modules: it is
    wrong where an activation module is called twice, and it does not see functions, gates and norms over the image.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        baseline: the reference image, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, summed over the colours, in logits.

    Raises:
        UserError: for an unknown baseline.
        Skipped: if the contributions miss the difference of the scores by over 5 %, because the network has operations
            without a rule.
    """
    return contributions(scorer, image.to(scorer.device), scorer.reference(baseline, image))


@explainer("deep-shap", family="shapley", signed=True, stochastic=True, paper="lundberg2017")
def deep_shap(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, samples: int = 10) -> Tensor:
    """DeepLIFT averaged over baselines: approximate Shapley values of pixels (section 4.2 of the paper).

    The baselines are the image blurred to random degrees, as in ``expected-gradients``. The rules are those of
    ``deeplift``: shap's DeepExplainer stores its state in the modules and fails on networks that call a module twice,
    on transposed convolutions behind a skip connection, and on a score that is not the network's own output.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: draws the baselines.
        samples: number of baselines; each costs two passes and one gradient.

    Returns:
        (H, W) float32, signed: it sums to the score minus the mean score of the baselines.

    Raises:
        UserError: for fewer than one sample.
        Skipped: as ``deeplift``.
    """
    at_least(1, "samples", samples)
    image = image.to(scorer.device)
    draw = random_references(image, scorer.target.fov, scorer.target.scale)
    return torch.stack([contributions(scorer, image, draw(rng)) for _ in range(samples)]).mean(0)


def contributions(scorer: Scorer, image: Tensor, reference: Tensor) -> Tensor:
    """(H, W) contributions of the pixels to the difference of the scores of image and reference, see ``deeplift``."""
    pair = torch.stack([image, reference.to(image.device)]).detach().requires_grad_()
    rules: dict[str, Rule] = {
        **dict.fromkeys(ELEMENTWISE, _elementwise),
        **dict.fromkeys(PRODUCTS, _product),
        "max_pool2d": _max_pool,
        "group_norm": _group_norm,
        "instance_norm": _instance_norm,
        "layer_norm": _layer_norm,
    }
    with torch.enable_grad():
        scores = scorer.mean_over_target(logits_by(Rules(rules), scorer, pair))
        (multipliers,) = torch.autograd.grad(scores[0], pair)
    map_ = ((pair[0] - pair[1]) * multipliers[0]).sum(0).detach()
    check_sum(map_, float((scores[0] - scores[1]).detach()), "the scores differ by")
    return map_


def _elementwise(function: Function, x: Tensor, *args: object, **kwargs: object) -> Tensor:
    """The backward pass applies one slope, Δy / Δx, to both halves of the pair."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        y = function(leaf * 1, *args, **kwargs)  # a copy, since the function may work in place
        (slope,) = torch.autograd.grad(y.sum(), leaf)
    y, x_ = y.detach(), leaf.detach()
    change = _quotient(y[:1] - y[1:], x_[:1] - x_[1:], otherwise=slope[:1])
    return with_backward(y, lambda gradient: (gradient * change,), x)


def _product(function: Function, a: Operand, b: Operand) -> Tensor:
    """Δ(ab) = Δa · mean(b) + Δb · mean(a), exactly; a product with a constant is an ordinary product."""
    if not (depends(a) and depends(b)):
        return function(a, b)
    # The value is the product; the slopes are the mean factors of image and reference.
    linear = a * b.detach().mean(0, keepdim=True) + b * a.detach().mean(0, keepdim=True)
    return linear + (a * b - linear).detach()


def _max_pool(_function: Function, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """With winner i in the image and j in the reference, Δy is a convex combination of Δx_i and Δx_j."""
    _y, places = F.max_pool2d_with_indices(x.detach(), *args, **{**kwargs, "return_indices": True})
    flat = x.flatten(2)

    def pick(half: int, of: int) -> Tensor:
        return flat[half : half + 1].gather(2, places[of : of + 1].flatten(2)).view_as(places[:1])

    (first_i, second_i), (first_j, second_j) = (pick(0, 0), pick(1, 0)), (pick(0, 1), pick(1, 1))
    rise, rise_i, rise_j = (d.detach() for d in (first_i - second_j, first_i - second_i, first_j - second_j))
    share = _quotient(rise - rise_j, rise_i - rise_j, otherwise=torch.ones_like(rise))
    pooled = [share * a + (1 - share) * b for a, b in ((first_i, first_j), (second_i, second_j))]
    y = torch.cat([first_i, second_j]).detach()
    linear = torch.cat(pooled)
    return linear + (y - linear).detach()


def _group_norm(
    _: Function, x: Tensor, num_groups: int, weight: Weights = None, bias: Weights = None, eps: float = 1e-5
) -> Tensor:
    grouped = _standardised(x.reshape(len(x), num_groups, -1), eps).reshape(x.shape)
    return _affine(grouped, weight, bias, (1, -1, *[1] * (x.ndim - 2)))


def _instance_norm(function: Function, x: Tensor, **options: Any) -> Tensor:
    if not options["use_input_stats"]:
        return function(x, **options)
    return _group_norm(function, x, x.shape[1], options["weight"], options["bias"], options["eps"])


def _layer_norm(
    _: Function, x: Tensor, shape: Sequence[int], weight: Weights = None, bias: Weights = None, eps: float = 1e-5
) -> Tensor:
    standardised = _standardised(x.flatten(x.ndim - len(shape)), eps).reshape(x.shape)
    return _affine(standardised, weight, bias, tuple(shape))


def _standardised(x: Tensor, eps: float) -> Tensor:
    """Standardisation along the last axis, in steps that each have a rule."""
    centred = x - x.mean(-1, keepdim=True)
    variance = _product(torch.mul, centred, centred).mean(-1, keepdim=True)
    return _product(torch.mul, centred, _elementwise(torch.rsqrt, variance + eps))


def _affine(x: Tensor, weight: Weights, bias: Weights, shape: tuple[int, ...]) -> Tensor:
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _quotient(numerator: Tensor, denominator: Tensor, otherwise: Tensor, flat: float = 1e-6) -> Tensor:
    """The quotient, and something else where the denominator is next to nothing."""
    near = denominator.abs() < flat
    return torch.where(near, otherwise, numerator / torch.where(near, torch.ones_like(denominator), denominator))
