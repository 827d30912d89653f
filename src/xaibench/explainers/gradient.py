"""Gradients of the score with respect to the picture, plain, averaged, along a path, or with a changed ReLU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaibench.data.baseline import random_references
from xaibench.errors import Skipped, UserError
from xaibench.explainers.backward_rules import Rules, logits_by
from xaibench.explainers.cam import gradcam
from xaibench.parameter_checks import at_least
from xaibench.registry import explainer
from xaibench.scorer import Scorer


@explainer("saliency", family="gradient", paper="simonyan2013", library="captum")
def saliency(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Absolute gradient of the score, the largest of the three colours.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: not used.

    Returns:
        (H, W) float32, >= 0: logits per unit of intensity.
    """
    from captum.attr import Saliency  # here and below: a library that takes long to import, when it is needed

    gradient: Tensor = Saliency(scorer).attribute(_leaf(scorer, image), abs=True)
    return gradient[0].amax(0)


@explainer(
    "input-x-gradient",
    family="gradient",
    signed=True,
    paper="shrikumar2016",
    library="captum",
    known_failures={
        "planted-evidence": "it says what scaling to black would cost, and the darkest vessel of all is black"
    },
)
def input_x_gradient(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Intensity times gradient, summed over the colours.

    A vessel is dark, so that what matters most is multiplied with the smallest numbers: the map says how far the score
    would fall, to first order, were the pixel scaled to black.

    Returns:
        (H, W) float32, signed.
    """
    from captum.attr import InputXGradient

    product: Tensor = InputXGradient(scorer).attribute(_leaf(scorer, image))
    return product[0].sum(0).detach()


@explainer(
    "integrated-gradients",
    family="gradient",
    signed=True,
    paper="sundararajan2017",
    library="captum",
    sums_to="difference",
)
def integrated_gradients(
    scorer: Scorer, image: Tensor, *, rng: np.random.Generator, steps: int = 50, baseline: str = "blur"
) -> Tensor:
    """Gradients averaged along the straight path from a picture without vessels, times the difference.

    The sum of the map is the score less the baseline's score (completeness, [sundararajan2017]), up to the error of
    Gauss-Legendre quadrature: under 1 % with 50 steps on the bundled networks. captum would push all steps at once
    through the network, several gigabytes for a whole fundus image; here they go one by one.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: not used.
        steps: points on the path; each costs a pass with its gradient.
        baseline: where the path starts, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, summed over the colours, in logits.

    Raises:
        UserError: for an unknown baseline, or no steps.
    """
    from captum.attr import IntegratedGradients

    at_least(1, "steps", steps)
    start = scorer.reference(baseline, image).to(scorer.device)
    method = IntegratedGradients(scorer)
    path: Tensor = method.attribute(_leaf(scorer, image), start[None], n_steps=steps, internal_batch_size=1)
    return path[0].sum(0).detach()


@explainer("smoothgrad", family="gradient", stochastic=True, paper="smilkov2017", library="captum")
def smoothgrad(
    scorer: Scorer, image: Tensor, *, rng: np.random.Generator, samples: int = 25, noise: float = 0.05
) -> Tensor:
    """Absolute value of the gradient averaged over noisy copies of the picture.

    captum's NoiseTunnel over its Saliency averages *absolute* gradients, which no longer cancels what is noise in
    them; here the signed gradients are averaged first, as in the paper.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: not used; captum draws from torch's global generator, which ``explain`` seeds.
        samples: noisy copies; each costs a pass with its gradient.
        noise: standard deviation of the Gaussian noise. The paper's .1 to .2 of the range suit photographs; a thin
            vessel differs from its surroundings by .03 only, so less is taken here.

    Returns:
        (H, W) float32, >= 0, the largest of the three colours.

    Raises:
        UserError: for no samples or negative noise.
    """
    return _noisy_gradient(scorer, image, "smoothgrad", samples, noise).abs().amax(0)


@explainer("smoothgrad-squared", family="gradient", stochastic=True, paper="hooker2019", library="captum")
def smoothgrad_squared(
    scorer: Scorer, image: Tensor, *, rng: np.random.Generator, samples: int = 25, noise: float = 0.05
) -> Tensor:
    """Square of the gradient averaged over noisy copies of the picture, summed over the colours.

    Args, errors: as of ``smoothgrad``.

    Returns:
        (H, W) float32, >= 0.
    """
    return _noisy_gradient(scorer, image, "smoothgrad_sq", samples, noise).sum(0)


@explainer("expected-gradients", family="gradient", signed=True, stochastic=True, paper="erion2021")
def expected_gradients(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, samples: int = 50) -> Tensor:
    """Integrated gradients averaged over many baselines, each at one random point of its path; GradientSHAP.

    The baselines are the picture blurred to a random degree: there is no set of training images that an explainer may
    look at, and other eyes' pictures would put their vessels where this one has none. The points of the paths are
    stratified, one in each of ``samples`` equal parts, which takes most of the variance out of the sum: it is the score
    less the mean score of the baselines within about 5 % [erion2021; lundberg2017]. captum's and shap's versions push
    all samples through the network at once.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: decides baselines and points.
        samples: each costs a pass with its gradient.

    Returns:
        (H, W) float32, signed, summed over the colours.

    Raises:
        UserError: for no samples.
    """
    at_least(1, "samples", samples)
    image = image.to(scorer.device)
    total = torch.zeros_like(image)
    draw = random_references(image, scorer.target.fov, scorer.target.scale)
    for stratum in rng.permutation(samples):
        start = draw(rng)
        point = start + (float(stratum) + float(rng.random())) / samples * (image - start)
        total += _gradient(scorer, point) * (image - start)
    return (total / samples).sum(0)


@explainer("guided-backprop", family="gradient", paper="springenberg2014")
def guided_backprop(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Gradient that passes a ReLU only where it is positive and the ReLU was open.

    The rule is put on the ReLU *function*: a hook on modules, as captum has it, misses activations called as functions
    and mixes up a module that the network uses twice. Known to be nearly the same whatever the weights are
    [adebayo2018].

    Returns:
        (H, W) float32, >= 0: absolute value, the largest of the three colours.

    Raises:
        Skipped: if the network has no ReLU.
    """
    return _with_relu(scorer, image, open_only=True).abs().amax(0)


@explainer("deconvolution", family="gradient", paper="zeiler2014")
def deconvolution(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Gradient that passes a ReLU only where it is positive, open or not.

    Returns:
        (H, W) float32, >= 0: absolute value, the largest of the three colours.

    Raises:
        Skipped: if the network has no ReLU.
    """
    return _with_relu(scorer, image, open_only=False).abs().amax(0)


@explainer("guided-gradcam", family="gradient", paper="selvaraju2017")
def guided_gradcam(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, layer: str = "bottleneck") -> Tensor:
    """Product of guided backpropagation and Grad-CAM (section 3.3 of the paper).

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: not used.
        layer: of Grad-CAM.

    Returns:
        (H, W) float32, >= 0.

    Raises:
        UserError: if there is no such layer.
        Skipped: if the network has no ReLU, or where Grad-CAM skips.
    """
    coarse: Tensor = gradcam(scorer, image, rng=rng, layer=layer)
    return coarse * _with_relu(scorer, image, open_only=True).abs().amax(0)


def _leaf(scorer: Scorer, image: Tensor) -> Tensor:
    """(1, 3, H, W), asking for gradients; captum would set that itself, and warn."""
    return image[None].detach().to(scorer.device).requires_grad_()


def _gradient(scorer: Scorer, image: Tensor) -> Tensor:
    """(3, H, W) gradient of the score."""
    leaf = _leaf(scorer, image)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(scorer(leaf).sum(), leaf)
    return gradient[0]


def _noisy_gradient(scorer: Scorer, image: Tensor, kind: str, samples: int, noise: float) -> Tensor:
    from captum.attr import NoiseTunnel, Saliency

    at_least(1, "samples", samples)
    if not noise >= 0:
        raise UserError(f"noise={noise} is negative.", "Give a standard deviation of intensity, such as 0.05.")
    tunnel = NoiseTunnel(Saliency(scorer))
    average: Tensor = tunnel.attribute(
        _leaf(scorer, image), nt_type=kind, nt_samples=samples, nt_samples_batch_size=1, stdevs=noise, abs=False
    )
    return average[0].detach()


class _PositiveGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, open_only: bool) -> Tensor:
        y = x.clamp(min=0)
        if open_only:
            ctx.save_for_backward(x > 0)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        gradient = gradients[0].clamp(min=0)
        for is_open in ctx.saved_tensors:
            gradient = gradient * is_open
        return gradient, None


def _with_relu(scorer: Scorer, image: Tensor, *, open_only: bool) -> Tensor:
    """(3, H, W) gradient of the score with the rule on every ReLU."""
    rules = Rules({"relu": lambda _function, x, **_: _PositiveGradient.apply(x, open_only)})
    leaf = _leaf(scorer, image)
    score = scorer.reduce(logits_by(rules, scorer, leaf))
    if "relu" not in rules.met:
        raise Skipped("the network has no ReLU, for which alone the rule is defined")
    (gradient,) = torch.autograd.grad(score.sum(), leaf)
    return gradient[0]
