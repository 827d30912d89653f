"""Explainers as authors write them, one per idiom; none is written for xaibench in particular."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from xaibench import Scorer, explainer
from xaibench.registry import Plugin

_copies: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


def centred(scorer: Scorer, image: Tensor) -> Tensor:
    """The image less its mean colour in the field of view."""
    return image - image[:, scorer.target.fov].mean(1)[:, None, None]


def late_layer(scorer: Scorer) -> nn.Module:
    """The last convolution but one."""
    return [m for m in scorer.model.modules() if isinstance(m, nn.Conv2d)][-2]


def enlarged(map_: Tensor, image: Tensor) -> Tensor:
    return interpolate(map_, size=image.shape[-2:], mode="bilinear", align_corners=False)


@explainer("backward", family="gradient", signed=True)
def backward(scorer: Scorer, image: Tensor) -> Tensor:
    """Sum and backward, which also leaves gradients on the weights."""
    image.requires_grad_()
    scorer.logits(image[None])[0, 0][scorer.target.mask].mean().backward()
    assert image.grad is not None
    return image.grad * centred(scorer, image.detach())


@explainer("autograd-grad", family="gradient", signed=True)
def autograd_grad(scorer: Scorer, image: Tensor) -> Tensor:
    """torch.autograd.grad with respect to a leaf; a (1, 3, H, W) map."""
    leaf = image[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scorer(leaf).sum(), leaf)
    return gradient * centred(scorer, image)


@explainer("captum", family="gradient", signed=True, library="captum")
def captum_attribution(scorer: Scorer, image: Tensor) -> Tensor:
    """An attribution of captum on the scorer."""
    return captum.attr.Saliency(scorer).attribute(image[None], abs=False) * centred(scorer, image)


@explainer("captum-layer", family="cam", library="captum")
def captum_layer(scorer: Scorer, image: Tensor) -> Tensor:
    """A layer attribution of captum on the scorer."""
    cam = captum.attr.LayerGradCam(scorer, late_layer(scorer)).attribute(image[None], relu_attributions=True)
    return enlarged(cam, image)


@explainer("captum-conductance", family="cam", signed=True, library="captum")
def captum_conductance(scorer: Scorer, image: Tensor) -> Tensor:
    """A path attribution of captum for a layer."""
    path = captum.attr.LayerConductance(scorer, late_layer(scorer))
    found = path.attribute(image[None], baselines=scorer.reference("blur", image)[None], n_steps=4)
    return enlarged(found.sum(1, keepdim=True), image)


@explainer("captum-guided", family="gradient", signed=True, library="captum")
def captum_guided(scorer: Scorer, image: Tensor) -> Tensor:
    """Guided Grad-CAM of captum, which wants a module."""

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = scorer.model

        def forward(self, images: Tensor) -> Tensor:
            return scorer(images)

    guided = captum.attr.GuidedGradCam(Module().eval(), late_layer(scorer))
    return guided.attribute(image[None], interpolate_mode="bilinear") * centred(scorer, image)


@explainer("layer-hook", family="cam")
def layer_hook(scorer: Scorer, image: Tensor) -> np.ndarray:
    """A forward hook that keeps a layer's output and hooks its gradient."""
    activations, gradients = list[Tensor](), list[Tensor]()

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        activations.append(output.detach().clone())
        output.register_hook(lambda gradient: gradients.append(gradient.detach()))

    handle = late_layer(scorer).register_forward_hook(keep)
    try:
        scorer.model.zero_grad()
        scorer(image[None]).sum().backward()
    finally:
        handle.remove()
    weights = gradients[0].mean((2, 3), keepdim=True)
    return enlarged((weights * activations[0]).sum(1, keepdim=True).relu(), image)[0, 0].numpy()


class Composite:
    """Rules for the backward pass of convolutions, in place inside a ``with`` block."""

    @contextmanager
    def context(self, model: nn.Module) -> Iterator[nn.Module]:
        handles = [
            module.register_full_backward_pre_hook(lambda _module, gradients: (gradients[0].clamp(min=0),))
            for module in model.modules()
            if isinstance(module, nn.Conv2d)
        ]
        try:
            yield model
        finally:
            for handle in handles:
                handle.remove()


@explainer("composite", family="gradient", signed=True)
def composite(scorer: Scorer, image: Tensor) -> Tensor:
    """A composite of rules around a pass of the network itself."""
    leaf = image[None].clone().requires_grad_()
    with Composite().context(scorer.model) as network:
        logits = network(leaf)
        (gradient,) = torch.autograd.grad(logits[0, 0], leaf, grad_outputs=scorer.target.mask.float())
    return gradient * centred(scorer, image)


@explainer("numpy", family="gradient", signed=True)
def numpy_in_and_out(scorer: Scorer, image: Tensor) -> np.ndarray:
    """NumPy but for the network: float64, channels first."""
    pixels = image.numpy()
    leaf = torch.from_numpy(pixels[None].copy()).requires_grad_()
    scorer(leaf).sum().backward()
    assert leaf.grad is not None
    return np.asarray(leaf.grad[0].numpy() * centred(scorer, image).numpy(), np.float64)


@explainer("class", family="gradient", signed=True)
class Explanation:
    """A class with ``__call__`` and a state of its own."""

    def __init__(self) -> None:
        self.strength = 1.0

    def __call__(self, scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
        return self.strength * autograd_grad(scorer, image)


def scaled(strength: float, scorer: Scorer, image: Tensor, *, power: int = 1) -> Tensor:
    """Any map, made stronger."""
    return strength**power * autograd_grad(scorer, image)


from_partial = explainer("partial", family="gradient", signed=True)(partial(scaled, 2.0, power=0))


@explainer("cached-copy", family="gradient", signed=True)
def cached_copy(scorer: Scorer, image: Tensor) -> Tensor:
    """A copy of the network that is kept between calls."""
    network = _copies.get(scorer.model)
    if network is None:
        network = _copies[scorer.model] = copy.deepcopy(scorer.model).eval()
    leaf = image[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf)[0, 0][scorer.target.mask].mean(), leaf)
    return gradient * centred(scorer, image)


@explainer("positional", family="gradient", signed=True)
def positional(f: Scorer, x: Tensor) -> Tensor:
    """Arguments under other names."""
    return autograd_grad(f, x)


PLUGINS: dict[str, Plugin] = {value.name: value for value in list(vars().values()) if isinstance(value, Plugin)}
LAYERS = ("captum-layer", "captum-conductance", "captum-guided", "layer-hook", "composite")
SAME = tuple(name for name in PLUGINS if name not in LAYERS)  # by the same formula, so that their maps are equal
