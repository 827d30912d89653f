"""Layer-wise relevance propagation, also through transposed convolutions, skip connections, batch norm and gates."""

from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from xaibench.errors import UserError
from xaibench.explainers.backward_rules import ELEMENTWISE, PRODUCTS, Rule, Rules, check_sum, logits_by
from xaibench.explainers.custom_backward import Function, Operand, Weights, depends, with_backward
from xaibench.registry import explainer
from xaibench.scorer import Scorer


@explainer("lrp", family="gradient", signed=True, paper="bach2015", sums_to="score")
def lrp(scorer: Scorer, image: Tensor, *, epsilon: float = 0.25) -> Tensor:
    """Layer-wise relevance propagation with the ε-rule; the share of bias and ε is distributed evenly (LRP).

    An affine operation z = Wx + b propagates relevance R as x · Wᵀ(R / (z + ε sign z)). In the rule of [bach2015] bias
    and ε absorb relevance; here the operation's inputs share it evenly (``bias_factor`` 1 of [arras2017]), so that the
    relevance of all pixels sums to the score, within 1 % in tests. With large biases and ε most of the sum is
    distributed so: over nine tenths in the maps of ``unet-drive``. These maps are in part a blur of the target's own
    logits, which the check of the sum does not reveal. Batch norm is merged with the convolution before it.
    Nonlinearities propagate relevance unchanged, sums in proportion to their summands, concatenations and crops to
    their sources, maximum poolings to the winner, gates to the signal and not to the gate [arras2017]. captum's LRP
    supports neither transposed convolutions nor concatenations nor additions.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        epsilon: ε in units of the root mean square of the operation's output ([montavon2019] uses .25).

    Returns:
        (H, W) float32, signed, summed over the colours, in logits.

    Raises:
        UserError: if epsilon is not positive.
        Skipped: if the relevance misses the score by over 5 %, because the network has operations without a rule.
    """
    if not epsilon > 0:
        raise UserError(f"epsilon={epsilon} is not positive.", "Give a small positive number, such as 0.25.")
    leaf = image[None].detach().to(scorer.device).requires_grad_()
    with torch.enable_grad():
        logits = logits_by(Rules(_rules(epsilon)), scorer, leaf)
        score = scorer.mean_over_target(logits)
        (share,) = torch.autograd.grad(score.sum(), logits, retain_graph=True)
        (relevance,) = torch.autograd.grad(logits, leaf, grad_outputs=share * logits.detach())
    map_ = relevance[0].sum(0)
    check_sum(map_, float(score.detach()), "the score is")
    return map_


def _rules(epsilon: float) -> dict[str, Rule]:
    """The rule of each operation: it propagates relevance where autograd would propagate gradients."""
    affine = ("conv2d", "conv_transpose2d", "linear")
    mixing = ("avg_pool2d", "adaptive_avg_pool2d", "interpolate", "upsample", "mean")
    norms = ("group_norm", "instance_norm", "layer_norm")
    scales = ("div", "truediv", "idiv", "itruediv", "divide")
    return {
        **dict.fromkeys(affine, partial(_affine, epsilon)),
        **dict.fromkeys(mixing, partial(_mixing, epsilon)),
        **dict.fromkeys((*ELEMENTWISE, *norms, *scales), _same),
        **dict.fromkeys(("add", "radd", "iadd"), partial(_sum, epsilon, 1)),
        **dict.fromkeys(("sub", "subtract", "isub"), partial(_sum, epsilon, -1)),
        "rsub": lambda function, a, b, **options: _sum(epsilon, -1, function, b, a, **options),
        **dict.fromkeys(PRODUCTS, _gate),
        "batch_norm": _batch_norm,
    }


def _affine(
    epsilon: float, function: Function, x: Tensor, weight: Tensor, bias: Weights = None, *args: Any, **kwargs: Any
) -> Tensor:
    weight, bias = weight.detach(), None if bias is None else bias.detach()

    def scaled(factor: Tensor | float = 1.0, shift: Tensor | float = 0.0) -> Tensor:
        """The operation with scaled and shifted output channels, as a following batch norm applies them."""
        z = function(x.detach(), weight, bias, *args, **kwargs) * factor + shift
        linear = lambda v: function(v, weight, None, *args, **kwargs) * factor
        count = lambda v: function(v, torch.ones_like(weight), None, *args, **kwargs)
        return _relevance(x, z, linear, count, epsilon)

    y = scaled()
    y._with_norm = scaled  # type: ignore[attr-defined]  # used by a following batch norm
    return y


def _batch_norm(function: Function, x: Tensor, mean: Tensor | None, variance: Tensor | None, **options: Any) -> Tensor:
    weight, bias = options["weight"], options["bias"]
    if options["training"] or mean is None or variance is None:
        return _same(function, x, mean, variance, **options)
    factor = torch.rsqrt(variance + options["eps"]) * (1 if weight is None else weight.detach())
    shift = (0 if bias is None else bias.detach()) - mean * factor
    factor, shift = factor.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)
    if hasattr(x, "_with_norm"):
        return cast(Tensor, x._with_norm(factor, shift))
    # Without a convolution before it each value has one input, which receives all relevance.
    return _unchanged(x, x.detach() * factor + shift)


def _mixing(epsilon: float, function: Function, x: Tensor, *args: object, **kwargs: object) -> Tensor:
    linear = lambda v: function(v, *args, **kwargs)
    # The weights also distribute the remainder: they sum to one for every output.
    return _relevance(x, linear(x.detach()), linear, linear, epsilon)


def _same(function: Function, x: Tensor, *args: object, **kwargs: object) -> Tensor:
    y = _unchanged(x, function(x.detach().clone(), *args, **kwargs))  # a copy, since the function may work in place
    if function.__name__.strip("_") in ("sigmoid", "hardsigmoid"):
        y._gates = True  # type: ignore[attr-defined]  # used by a following product
    return y


def _sum(epsilon: float, sign: int, _function: Function, a: Operand, b: Operand, *, alpha: float = 1) -> Tensor:
    """a ± b: relevance in proportion to the summands, half of the remainder to each."""
    if alpha != 1:  # a factor does not change relevance
        b = _unchanged(b, alpha * b.detach()) if depends(b) else alpha * b
    if not (depends(a) and depends(b)):
        x, total = a if depends(a) else b, a + sign * b
        return _unchanged(x, total.detach()) if total.shape == x.shape else total

    def shares(relevance: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        z = a + sign * b
        per_unit = relevance / _stabilised(z, epsilon)
        half = (relevance - per_unit * z) / 2
        return per_unit * a + half, per_unit * sign * b + half

    a, b = torch.broadcast_tensors(a, b)
    return with_backward((a + sign * b).detach(), shares, a, b, saved=(a, b))


def _gate(_function: Function, a: Operand, b: Operand) -> Tensor:
    """A product: all relevance to the signal and none to a gate, half to each of two signals."""
    if not (depends(a) and depends(b)):
        x, factor = (a, b) if depends(a) else (b, a)
        return _unchanged(x, x.detach() * factor)
    y, gates = (a * b).detach(), [hasattr(v, "_gates") for v in (a, b)]
    a, b = torch.broadcast_tensors(a, b)
    if gates[0] != gates[1]:
        return _unchanged(b if gates[0] else a, y)
    return with_backward(y, lambda relevance: (relevance / 2, relevance / 2), a, b)


def _unchanged(x: Tensor, y: Tensor) -> Tensor:
    """The output y of an operation that propagates relevance unchanged to x."""
    return with_backward(y, lambda relevance: (relevance,), x)


def _relevance(x: Tensor, z: Tensor, linear: Function, count: Function, epsilon: float) -> Tensor:
    """z = linear(x) + constant: relevance by the ε-rule, the remainder distributed by the weights of ``count``."""

    def shares(relevance: Tensor, x: Tensor) -> tuple[Tensor]:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            own = linear(leaf)
            per_unit = relevance / _stabilised(z, epsilon)
            (slope,) = torch.autograd.grad(own, leaf, per_unit)
            ones = torch.ones_like(x).requires_grad_()
            inputs = count(ones)
            left = (relevance - per_unit * own.detach()) / inputs.detach()
            (even,) = torch.autograd.grad(inputs, ones, left)
        return (x * slope + even,)

    return with_backward(z, shares, x, saved=(x,))


def _stabilised(z: Tensor, epsilon: float) -> Tensor:
    scale = z.square().mean().sqrt().clamp(min=1e-12)
    return z + epsilon * scale * torch.where(z < 0, -1.0, 1.0)
