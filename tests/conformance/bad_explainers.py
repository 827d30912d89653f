"""A good method, and bad ones that equal it except for one thing."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.errors import Skipped
from xaibench.registry import Plugin, explainer
from xaibench.scorer import Scorer

Method = Callable[..., Any]


def declared(function: Method | Plugin, **traits: Any) -> Plugin:
    """The method as a plugin; a plugin stays as it is."""
    if isinstance(function, Plugin):
        return function
    return explainer("made-up", family="gradient", **({"signed": True} | traits))(function)


def good(scorer: Scorer, image: Tensor) -> Tensor:
    """Gradient times the difference from the mean of the field of view."""
    image = image.to(scorer.device)
    mean = image[:, scorer.target.fov.to(image.device)].mean(1)[:, None, None]
    leaf = image.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(scorer(leaf[None]).sum(), leaf)
    return (gradient * (image - mean)).sum(0)


def before(action: Callable[[Scorer, Tensor], object]) -> Method:
    """The good method, after an action."""

    def method(scorer: Scorer, image: Tensor) -> Tensor:
        action(scorer, image)
        return good(scorer, image)

    return method


def after(action: Callable[[Scorer, Tensor], object]) -> Method:
    """The good method, before an action."""

    def method(scorer: Scorer, image: Tensor) -> Tensor:
        map_ = good(scorer, image)
        action(scorer, image)
        return map_

    return method


def changed(change: Callable[[Tensor], object]) -> Method:
    """The good method with another map."""
    return lambda scorer, image: change(good(scorer, image))


def stochastic(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    map_ = good(scorer, image)
    return map_ * (1 + 0.01 * torch.from_numpy(rng.normal(size=tuple(map_.shape))))


def hooks_a_pass(scorer: Scorer, image: Tensor) -> None:
    """Leaves a hook behind if the pass fails."""
    handle = scorer.model.register_forward_hook(lambda *_: None)
    scorer(image[None])
    handle.remove()


def hooks_a_later_pass(scorer: Scorer, image: Tensor) -> None:
    good(scorer, image)
    scorer(image[None])
    hooks_a_pass(scorer, image)


def binds_forward(scorer: Scorer, image: Tensor) -> None:
    for module in scorer.model.modules():
        module.forward = module.forward  # a function bound for good


def replaces_a_module(scorer: Scorer, image: Tensor) -> None:
    parent = next(m for m in scorer.model.modules() if isinstance(m, nn.Sequential))
    parent[-1] = nn.ReLU()


def compares_with_black(scorer: Scorer, image: Tensor) -> Tensor:
    """Occlusion by black, coarsely: it makes evidence instead of hiding it."""
    whole, map_ = scorer(image[None])[0], torch.zeros(image.shape[1:])
    for top in range(0, image.shape[1], 16):
        for left in range(0, image.shape[2], 16):
            hidden = image.clone()
            hidden[:, top : top + 16, left : left + 16] = 0
            map_[top : top + 16, left : left + 16] = whole - scorer(hidden[None])[0]
    return map_


def scaled(scorer: Scorer, image: Tensor) -> Tensor:
    map_ = good(scorer, image)
    return map_ / map_.abs().max() if image.std() > 0 else map_


def needs_many_pixels(scorer: Scorer, image: Tensor) -> Tensor:
    assert scorer.target.mask.sum() >= 50, "fifty pixels of the target"
    return good(scorer, image)


def needs_contrast(scorer: Scorer, image: Tensor) -> Tensor:
    contrast = image[:, scorer.target.fov].std()
    return good(scorer, image) / contrast * contrast


def raises(scorer: Scorer, image: Tensor) -> Tensor:
    raise KeyError("moon")


def skips_everything(scorer: Scorer, image: Tensor) -> Tensor:
    raise Skipped("the moon is full")


def skips_constant_images(scorer: Scorer, image: Tensor) -> Tensor:
    if image.std() == 0:
        raise Skipped("there is nothing to be seen")
    return good(scorer, image)


def skips_wide_images(scorer: Scorer, image: Tensor) -> Tensor:
    """No map of a high image is legal."""
    if image.shape[1] < image.shape[2]:
        raise Skipped("too wide")
    return good(scorer, image)[1:]


inverted = changed(torch.neg)
CONTROL = {"sees_labels": True, "control": True, "signed": False}

GOOD: dict[str, Method | str] = {
    "declared": declared(good),
    "a plain function": good,
    "stochastic": declared(stochastic, stochastic=True),
    "a control": "uniform",
    "a control that sees labels": declared(lambda case: case.vessels.float(), **CONTROL),
    "skips constant images": declared(skips_constant_images),
    "with a parameter": "gradcam[layer=decoder-1/2]",
    # Gradients that are left behind change no number, and the mode is restored:
    "leaves gradients": declared(
        before(lambda scorer, image: scorer(image.clone().requires_grad_()[None]).sum().backward())
    ),
    "clears gradients": declared(before(lambda scorer, image: scorer.model.zero_grad())),
    "freezes weights": declared(before(lambda scorer, image: scorer.model.requires_grad_(False))),
    "makes the image a leaf": declared(lambda scorer, image: good(scorer, image.requires_grad_()).detach()),
    "evaluates for good": declared(before(lambda scorer, image: scorer.model.eval())),
}

BAD: dict[str, dict[str, Method]] = {
    "shape-dtype-finite": {
        "not finite": changed(lambda map_: map_.index_fill(0, torch.tensor(0), torch.nan)),
        "transposed": changed(lambda map_: map_.T),
        "even-sized": changed(lambda map_: map_[: map_.shape[0] // 2 * 2, : map_.shape[1] // 2 * 2]),
        "two maps": changed(lambda map_: [map_, map_]),
        "raises": raises,
        "skips wide images": skips_wide_images,
    },
    "same-seed": {"own generator": lambda scorer, image: stochastic(scorer, image, rng=np.random.default_rng())},
    "other-seed": {"stochastic": stochastic, "declared stochastic": declared(good, stochastic=True)},
    "micro-batch": {"by batch": lambda scorer, image: good(scorer, image) * (1 + scorer.engine.micro_batch)},
    "state": {
        "leaves a hook": before(lambda scorer, image: scorer.model.encoders.register_forward_hook(lambda *_: None)),
        "leaves a hook if it fails": before(hooks_a_pass),
        "leaves a hook if it fails later": before(hooks_a_later_pass),
        "binds forward": before(binds_forward),
        "changes weights": after(lambda scorer, image: next(scorer.model.parameters()).data.mul_(1.5)),
        "stays in training": after(lambda scorer, image: scorer.model.train()),
        "replaces a module": after(replaces_a_module),
        "works in place": after(lambda scorer, image: image.mul_(0.5)),
        "changes the target": after(lambda scorer, image: scorer.target.mask[:2].fill_(True)),
        "stops gradients": before(lambda scorer, image: torch.set_grad_enabled(False)),
        "seeds Python": before(lambda scorer, image: random.seed(0)),
        "seeds NumPy": before(lambda scorer, image: np.random.seed(0)),  # noqa: NPY002
        "seeds torch": before(lambda scorer, image: torch.manual_seed(0)),
    },
    "planted-evidence": {
        "inverted": inverted,
        "what the image shows, not what the network reads": lambda image: 1 - image[1],
        "compares with black": compares_with_black,
        "nothing": lambda image: torch.zeros(image.shape[1:]),
    },
    "zero-gradient": {"scaled": scaled},
    "target": {"needs many pixels": needs_many_pixels},
    "constant-picture": {"needs contrast": needs_contrast},
    "labels": {
        "takes labels": lambda scorer, image, case=None: good(scorer, image),
        "asks for labels": declared(lambda image, case: 1 - image[1], **CONTROL),
    },
    "sign": {"declared without a sign": declared(good, signed=False)},
    "quiet": {
        "prints": before(lambda scorer, image: print("half way")),
        "warns": before(lambda scorer, image: np.log(np.zeros(1))),
    },
    "some-map": {"skips everything": skips_everything},
}
