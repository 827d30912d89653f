"""Layer-wise relevance propagation, also through transposed convolutions, skip connections, batch norm and gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from xaibench.errors import UserError
from xaibench.explainers.backward_rules import ELEMENTWISE, PRODUCTS, Rules, check_sum, depends, logits_by, out_of_place
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
    rule = _Rulebook(epsilon)
    leaf = image[None].detach().to(scorer.device).requires_grad_()
    with torch.enable_grad():
        logits = logits_by(Rules(rule.by_name()), scorer, leaf)
        score = scorer.mean_over_target(logits)
        (share,) = torch.autograd.grad(score.sum(), logits, retain_graph=True)
        (relevance,) = torch.autograd.grad(logits, leaf, grad_outputs=share * logits.detach())
    map_ = relevance[0].sum(0)
    check_sum(map_, float(score.detach()), "the score is")
    return map_


class _Rulebook:
    """The rules of LRP: they propagate relevance where autograd would propagate gradients."""

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def by_name(self) -> dict[str, Callable[..., Any]]:
        affine = {"conv2d": self._convolution, "conv_transpose2d": self._convolution, "linear": self._convolution}
        mixing = ("avg_pool2d", "adaptive_avg_pool2d", "interpolate", "upsample", "mean")
        same = dict.fromkeys((*ELEMENTWISE, *("group_norm", "instance_norm", "layer_norm")), self._same)
        sums = {"add": 1, "radd": 1, "iadd": 1, "sub": -1, "subtract": -1, "isub": -1}
        scales = ("div", "truediv", "idiv", "itruediv", "divide")
        return {
            **affine,
            **dict.fromkeys(mixing, self._mixing),
            **same,
            **dict.fromkeys(scales, self._same),
            **{name: self._sum(sign) for name, sign in sums.items()},
            "rsub": self._sum(-1, swapped=True),
            **dict.fromkeys(PRODUCTS, self._gate),
            "batch_norm": self._batch_norm,
        }

    def _convolution(
        self, function: Any, x: Tensor, weight: Tensor, bias: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if not depends(x):
            return function(x, weight, bias, *args, **kwargs)

        def scaled(factor: Tensor | None, shift: Tensor | None) -> Tensor:
            """The operation with scaled and shifted output channels, as a following batch norm applies them."""
            w = weight.detach()
            own = function(x.detach(), w, None if bias is None else bias.detach(), *args, **kwargs)
            by = torch.ones_like(own[:1, :, :1, :1] if own.ndim == 4 else own[:1]) if factor is None else factor
            z = own * by + (0 if shift is None else shift)
            linear = lambda v: function(v, w, None, *args, **kwargs) * by
            count = lambda v: function(v, torch.ones_like(w), None, *args, **kwargs)
            result: Tensor = _Relevance.apply(x, z, linear, count, self.epsilon)
            return result

        y = scaled(None, None)
        y._with_norm = scaled  # type: ignore[attr-defined]  # used by a following batch norm
        return y

    def _batch_norm(
        self, function: Any, x: Tensor, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
        training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    ) -> Any:  # fmt: skip
        if not depends(x) or training or running_var is None:
            return self._same(function, x, running_mean, running_var, weight, bias, training, momentum, eps)
        factor = torch.rsqrt(running_var + eps) * (1 if weight is None else weight.detach())
        shift = (0 if bias is None else bias.detach()) - running_mean * factor
        factor, shift = factor.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)
        if hasattr(x, "_with_norm"):
            return x._with_norm(factor, shift)
        # Without a convolution before it each value has one input, which receives all relevance.
        return _Same.apply(x, x.detach() * factor + shift)

    def _mixing(self, function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not depends(x):
            return function(x, *args, **kwargs)
        linear = lambda v: function(v, *args, **kwargs)
        # The weights also distribute the remainder: they sum to one for every output.
        return _Relevance.apply(x, linear(x.detach()), linear, linear, self.epsilon)

    def _same(self, function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if not depends(x):
            return function(x, *args, **kwargs)
        y = _Same.apply(x, function(x.detach().clone(), *args, **out_of_place(kwargs)))
        if function.__name__.strip("_") in ("sigmoid", "hardsigmoid"):
            y._gates = True
        return y

    def _sum(self, sign: int, swapped: bool = False) -> Callable[..., Any]:
        def rule(function: Any, a: Any, b: Any, *, alpha: float = 1) -> Any:
            if not (depends(a) or depends(b)):
                return function(a, b) if alpha == 1 else function(a, b, alpha=alpha)
            if swapped:
                a, b = b, a
            if alpha != 1:  # a factor does not change relevance
                b = _Same.apply(b, alpha * b.detach()) if depends(b) else alpha * b
            if depends(a) and depends(b):
                return _Sum.apply(*torch.broadcast_tensors(a, b), sign, self.epsilon)
            x, total = a if depends(a) else b, a + sign * b
            return _Same.apply(x, total.detach()) if total.shape == x.shape else total

        return rule

    def _gate(self, function: Any, a: Any, b: Any) -> Any:
        if depends(a) and depends(b):
            y = (a * b).detach()
            gates = [hasattr(v, "_gates") for v in (a, b)]
            a, b = torch.broadcast_tensors(a, b)
            if gates[0] != gates[1]:
                return _Same.apply(b if gates[0] else a, y)
            return _Half.apply(a, b, y)
        x, other = (a, b) if depends(a) else (b, a)
        if not depends(x):
            return function(a, b)
        return _Same.apply(x, x.detach() * other)


def _stabilised(z: Tensor, epsilon: float) -> Tensor:
    scale = z.square().mean().sqrt().clamp(min=1e-12)
    return z + epsilon * scale * torch.where(z < 0, -1.0, 1.0)


class _Relevance(torch.autograd.Function):
    """z = linear(x) + constant: relevance by the ε-rule, the remainder distributed by the weights of ``count``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, z: Tensor, linear: Any, count: Any, epsilon: float) -> Tensor:
        ctx.save_for_backward(x, z)
        ctx.linear, ctx.count, ctx.epsilon = linear, count, epsilon
        return z.clone()

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> Any:
        x, z = ctx.saved_tensors
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            own = ctx.linear(leaf)
            per_unit = relevance[0] / _stabilised(z, ctx.epsilon)
            (slope,) = torch.autograd.grad(own, leaf, per_unit)
            ones = torch.ones_like(x).requires_grad_()
            inputs = ctx.count(ones)
            left = (relevance[0] - per_unit * own.detach()) / inputs.detach()
            (even,) = torch.autograd.grad(inputs, ones, left)
        return x * slope + even, None, None, None, None


class _Same(torch.autograd.Function):
    """Returns the output; propagates relevance unchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> Any:
        return relevance[0], None


class _Sum(torch.autograd.Function):
    """a ± b: relevance in proportion to the summands, half of the remainder to each."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, sign: int, epsilon: float) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.sign, ctx.epsilon = sign, epsilon
        return a + sign * b

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> Any:
        a, b = ctx.saved_tensors
        z = a + ctx.sign * b
        per_unit = relevance[0] / _stabilised(z, ctx.epsilon)
        half = (relevance[0] - per_unit * z) / 2
        return per_unit * a + half, per_unit * ctx.sign * b + half, None, None


class _Half(torch.autograd.Function):
    """A product of two features: half of the relevance to each."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, y: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> Any:
        return relevance[0] / 2, relevance[0] / 2, None
