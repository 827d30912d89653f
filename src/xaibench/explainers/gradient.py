"""Gradients of the score with respect to the image: plain, averaged, along a path, or with a modified ReLU."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from xaibench.data.baseline import random_references
from xaibench.errors import Skipped, UserError
from xaibench.explainers.backward_rules import Rules, logits_by
from xaibench.explainers.cam import gradcam
from xaibench.explainers.custom_backward import Function, with_backward
from xaibench.parameter_checks import at_least
from xaibench.registry import explainer
from xaibench.scorer import Scorer

gradient_method = partial(explainer, family="gradient")


@gradient_method("saliency", paper="simonyan2013", library="captum")
def saliency(scorer: Scorer, image: Tensor) -> Tensor:
    """Absolute gradient of the score; the maximum over the three colours.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].

    Returns:
        (H, W) float32, >= 0: logits per unit of intensity.
    """
    from captum.attr import Saliency  # here and below: imported on use, since the import takes long

    gradient: Tensor = Saliency(scorer).attribute(_leaf(scorer, image), abs=True)
    return gradient[0].amax(0)


@gradient_method(
    "input-x-gradient",
    signed=True,
    paper="shrikumar2016",
    library="captum",
    known_failures={
        "planted-evidence": "it measures the effect of scaling to black, and the darkest vessel is black already"
    },
)
def input_x_gradient(scorer: Scorer, image: Tensor) -> Tensor:
    """Intensity times gradient, summed over the colours.

    The map says, to first order, how far the score would fall if the pixel were scaled to black. Vessels are dark, so
    the most important pixels are multiplied with the smallest numbers.

    Returns:
        (H, W) float32, signed.
    """
    from captum.attr import InputXGradient

    product: Tensor = InputXGradient(scorer).attribute(_leaf(scorer, image))
    return product[0].sum(0).detach()


@gradient_method("integrated-gradients", signed=True, paper="sundararajan2017", library="captum", sums_to="difference")
def integrated_gradients(scorer: Scorer, image: Tensor, *, steps: int = 50, baseline: str = "blur") -> Tensor:
    """Gradients averaged along the straight path from a baseline without vessels, times the difference.

    The map sums to the score minus the baseline's score (completeness, [sundararajan2017]), up to the error of the
    Gauss-Legendre quadrature: below 1 % with 50 steps on the bundled networks. By default captum evaluates all steps in
    one batch, several gigabytes for a fundus image; here they are evaluated one by one.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        steps: points on the path; each costs a pass with a gradient.
        baseline: start of the path, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, summed over the colours, in logits.

    Raises:
        UserError: for an unknown baseline, or fewer than one step.
    """
    from captum.attr import IntegratedGradients

    at_least(1, "steps", steps)
    start = scorer.reference(baseline, image).to(scorer.device)
    method = IntegratedGradients(scorer)
    path: Tensor = method.attribute(_leaf(scorer, image), start[None], n_steps=steps, internal_batch_size=1)
    return path[0].sum(0).detach()


@gradient_method("smoothgrad", stochastic=True, paper="smilkov2017", library="captum")
def smoothgrad(scorer: Scorer, image: Tensor, *, samples: int = 25, noise: float = 0.05) -> Tensor:
    """Absolute value of the mean gradient over noisy copies of the image.

    captum's NoiseTunnel over its default Saliency averages *absolute* gradients, whose noise does not cancel; here the
    signed gradients are averaged, as in the paper.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        samples: noisy copies; each costs a pass with a gradient.
        noise: standard deviation of the Gaussian noise. The paper's .1 to .2 of the range suit photographs; a thin
            vessel differs from its surroundings by only .03, so the default is smaller.

    Returns:
        (H, W) float32, >= 0, the maximum over the three colours.

    Raises:
        UserError: for fewer than one sample or negative noise.
    """
    return _noisy_gradient(scorer, image, "smoothgrad", samples, noise).abs().amax(0)


@gradient_method("smoothgrad-squared", stochastic=True, paper="hooker2019", library="captum")
def smoothgrad_squared(scorer: Scorer, image: Tensor, *, samples: int = 25, noise: float = 0.05) -> Tensor:
    """Mean squared gradient over noisy copies of the image, summed over the colours.

    Args and errors as of ``smoothgrad``.

    Returns:
        (H, W) float32, >= 0.
    """
    return _noisy_gradient(scorer, image, "smoothgrad_sq", samples, noise).sum(0)


@gradient_method("expected-gradients", signed=True, stochastic=True, paper="erion2021")
def expected_gradients(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, samples: int = 50) -> Tensor:
    """Integrated gradients averaged over many baselines, one random point on each path (GradientSHAP).

    The baselines are the image blurred to a random degree: an explainer sees no training images, and the images of
    other eyes would add vessels where this one has none. The points on the paths are stratified, one in each of
    ``samples`` equal intervals, which removes most of the variance of the sum: it equals the score minus the mean score
    of the baselines within about 5 % [erion2021; lundberg2017]. captum and shap evaluate all samples in one batch.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: draws baselines and points.
        samples: each costs a pass with a gradient.

    Returns:
        (H, W) float32, signed, summed over the colours.

    Raises:
        UserError: for fewer than one sample.
    """
    at_least(1, "samples", samples)
    image = image.to(scorer.device)
    total = torch.zeros_like(image)
    draw = random_references(image, scorer.target.fov, scorer.target.scale)
    for stratum in rng.permutation(samples):
        start = draw(rng)
        point = start + (float(stratum) + float(rng.random())) / samples * (image - start)
        leaf = _leaf(scorer, point)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(scorer(leaf).sum(), leaf)
        total += gradient[0] * (image - start)
    return (total / samples).sum(0)


@gradient_method("guided-backprop", paper="springenberg2014")
def guided_backprop(scorer: Scorer, image: Tensor) -> Tensor:
    """Gradient that passes a ReLU only where both the gradient and the ReLU's input are positive.

    The rule replaces the ReLU *function*: a hook on modules, as in captum, misses activations called as functions and
    confuses the calls of a module that is used twice. The map is known to change little when the weights are
    randomised [adebayo2018].

    Returns:
        (H, W) float32, >= 0: absolute value, the maximum over the three colours.

    Raises:
        Skipped: if the network has no ReLU.
    """
    return _with_relu(scorer, image, open_only=True).abs().amax(0)


@gradient_method("deconvolution", paper="zeiler2014")
def deconvolution(scorer: Scorer, image: Tensor) -> Tensor:
    """Gradient that passes a ReLU only where the gradient is positive, whatever the ReLU's input.

    Returns:
        (H, W) float32, >= 0: absolute value, the maximum over the three colours.

    Raises:
        Skipped: if the network has no ReLU.
    """
    return _with_relu(scorer, image, open_only=False).abs().amax(0)


@gradient_method("guided-gradcam", paper="selvaraju2017")
def guided_gradcam(scorer: Scorer, image: Tensor, *, layer: str = "bottleneck") -> Tensor:
    """Product of guided backpropagation and Grad-CAM (section 3.3 of the paper).

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        layer: the layer of Grad-CAM.

    Returns:
        (H, W) float32, >= 0.

    Raises:
        UserError: if there is no such layer.
        Skipped: if the network has no ReLU, or where Grad-CAM skips.
    """
    coarse: Tensor = gradcam(scorer, image, layer=layer)
    return coarse * _with_relu(scorer, image, open_only=True).abs().amax(0)


def _leaf(scorer: Scorer, image: Tensor) -> Tensor:
    """(1, 3, H, W) that requires a gradient; captum would set that itself and warn."""
    return image[None].detach().to(scorer.device).requires_grad_()


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


def _with_relu(scorer: Scorer, image: Tensor, *, open_only: bool) -> Tensor:
    """(3, H, W) gradient of the score with the modified ReLU."""

    def relu(_function: Function, x: Tensor) -> Tensor:
        is_open = (x > 0) if open_only else True
        return with_backward(x.detach().clamp(min=0), lambda gradient: (gradient.clamp(min=0) * is_open,), x)

    rules, leaf = Rules({"relu": relu}), _leaf(scorer, image)
    score = scorer.mean_over_target(logits_by(rules, scorer, leaf))
    if "relu" not in rules.met:
        raise Skipped("the network has no ReLU, the only activation for which the rule is defined")
    (gradient,) = torch.autograd.grad(score.sum(), leaf)
    return gradient[0]
