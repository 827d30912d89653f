"""A good method, and bad ones that are it but for one thing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.scorer import Scorer

Method = Callable[..., Any]


def good(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Gradient times the difference from the mean of the field of view."""
    image = image.to(scorer.device)
    mean = image[:, scorer.target.fov.to(image.device)].mean(1)[:, None, None]
    leaf = image.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(scorer(leaf[None]).sum(), leaf)
    return (gradient * (image - mean)).sum(0)


def noisy(scorer: Scorer, image: Tensor, rng: np.random.Generator) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    noise = torch.from_numpy(rng.normal(size=tuple(map_.shape)))
    return map_ * (1 + 0.01 * noise)


def not_finite(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    map_[0, 0] = torch.nan
    return map_


def transposed(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    return good(scorer, image, rng=rng).T


def even_sized(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    return map_[: map_.shape[0] // 2 * 2, : map_.shape[1] // 2 * 2]


def two_maps(scorer: Scorer, image: Tensor, *, rng: Any) -> Any:
    return [good(scorer, image, rng=rng)] * 2


def chance_of_its_own(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    return noisy(scorer, image, np.random.default_rng())


def stochastic(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    return noisy(scorer, image, rng)


def by_batch(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    assert scorer.engine is not None
    return good(scorer, image, rng=rng) * (1 + scorer.engine.micro_batch)


def leaves_a_hook(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    next(iter(scorer.model.children())).register_forward_hook(lambda *_: None)
    return good(scorer, image, rng=rng)


def leaves_a_hook_if_it_fails(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    handle = scorer.model.register_forward_hook(lambda *_: None)
    map_ = good(scorer, image, rng=rng)
    handle.remove()
    return map_


def leaves_a_hook_if_it_fails_later(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    handle = scorer.model.register_forward_hook(lambda *_: None)
    for _ in range(3):
        scorer(image[None])
    handle.remove()
    return map_


def binds_forward(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    for module in scorer.model.modules():
        module.forward = module.forward  # type: ignore[method-assign]  # a function bound for good
    return good(scorer, image, rng=rng)


def changes_weights(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    with torch.no_grad():
        next(scorer.model.parameters()).mul_(1.5)
    return map_


def leaves_gradients(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    with torch.enable_grad():
        scorer(image.clone().requires_grad_()[None]).sum().backward()
    return good(scorer, image, rng=rng)


def clears_gradients(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    scorer.model.zero_grad()
    return good(scorer, image, rng=rng)


def freezes_weights(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    scorer.model.requires_grad_(False)
    return good(scorer, image, rng=rng)


def evaluates_for_good(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    scorer.model.eval()
    return good(scorer, image, rng=rng)


def stays_in_training(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    scorer.model.train()
    return map_


def replaces_modules(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    parent = next(m for m in scorer.model.modules() if isinstance(m, nn.Sequential))
    parent[-1] = nn.ReLU()
    return map_


def works_in_place(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    image.mul_(0.5)
    return map_


def makes_the_image_a_leaf(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    return good(scorer, image.requires_grad_(), rng=rng).detach()


def changes_the_target(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    scorer.target.mask[:2] = True
    return map_


def stops_gradients(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    torch.set_grad_enabled(False)
    return good(scorer, image, rng=rng)


def seeds_python(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    random.seed(0)
    return good(scorer, image, rng=rng)


def seeds_numpy(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    np.random.seed(0)  # noqa: NPY002
    return good(scorer, image, rng=rng)


def seeds_torch(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    torch.manual_seed(0)
    return good(scorer, image, rng=rng)


def inverted(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    return -good(scorer, image, rng=rng)


def darkness(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    """What a picture shows, whatever the network reads of it."""
    return 1 - image[1]


def compares_with_black(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    """Occlusion by black, coarsely: it makes evidence instead of hiding it."""
    whole, map_ = scorer(image[None])[0], torch.zeros(image.shape[1:])
    for top in range(0, image.shape[1], 16):
        for left in range(0, image.shape[2], 16):
            hidden = image.clone()
            hidden[:, top : top + 16, left : left + 16] = 0
            map_[top : top + 16, left : left + 16] = whole - scorer(hidden[None])[0]
    return map_


def nothing(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    return torch.zeros(image.shape[1:])


def scaled(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    map_ = good(scorer, image, rng=rng)
    return map_ / map_.abs().max() if image.std() > 0 else map_


def needs_many_pixels(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    pixels = scorer.target.mask.nonzero()[:50]
    assert len(pixels) == 50, "fifty pixels of the target"
    return good(scorer, image, rng=rng)


def needs_contrast(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    contrast = image[:, scorer.target.fov].std()
    return good(scorer, image, rng=rng) / contrast * contrast


def takes_labels(scorer: Scorer, image: Tensor, *, rng: Any, case: Case | None = None) -> Tensor:
    return good(scorer, image, rng=rng)


def prints(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    print("half way")
    return good(scorer, image, rng=rng)


def warns(scorer: Scorer, image: Tensor, *, rng: Any) -> Tensor:
    np.log(np.zeros(1))
    return good(scorer, image, rng=rng)


# Gradients that are left behind change no number, and the mode is restored: these pass every check.
HARMLESS: list[Method] = [
    leaves_gradients,
    clears_gradients,
    freezes_weights,
    makes_the_image_a_leaf,
    evaluates_for_good,
]

BAD: list[tuple[Method, str, dict[str, Any]]] = [
    *((f, "shape-dtype-finite", {}) for f in (not_finite, transposed, even_sized, two_maps)),
    (chance_of_its_own, "same-seed", {}),
    (stochastic, "other-seed", {}),
    (good, "other-seed", {"stochastic": True}),
    (by_batch, "micro-batch", {}),
    *((f, "state", {}) for f in (leaves_a_hook, leaves_a_hook_if_it_fails, leaves_a_hook_if_it_fails_later)),
    *((f, "state", {}) for f in (binds_forward, changes_weights)),
    *((f, "state", {}) for f in (stays_in_training, replaces_modules)),
    *((f, "state", {}) for f in (works_in_place, changes_the_target, stops_gradients)),
    *((f, "state", {}) for f in (seeds_python, seeds_numpy, seeds_torch)),
    *((f, "planted-evidence", {}) for f in (inverted, darkness, compares_with_black, nothing)),
    (scaled, "zero-gradient", {}),
    (needs_many_pixels, "target", {}),
    (needs_contrast, "constant-picture", {}),
    (takes_labels, "labels", {}),
    (good, "sign", {"signed": False}),
    *((f, "quiet", {}) for f in (prints, warns)),
]
