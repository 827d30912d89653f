"""Everything that a method may find and must leave: the network, the picture, the target."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xaibench.conformance.subjects import SmallUNet
from xaibench.data.case import Case
from xaibench.scorer import Scorer

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def in_use(network: SmallUNet) -> SmallUNet:
    """The network in the middle of training: one module is evaluating, a weight is frozen, a gradient is being kept."""
    network.train()
    network.bottleneck.eval()
    frozen, learning, *_ = network.parameters()
    frozen.requires_grad_(False)
    learning.grad = torch.ones_like(learning)
    return network


def snapshot(scorer: Scorer, case: Case) -> dict[str, Any]:
    """What is there, by what it is called, in values that can be compared.

    Hooks count by module, so that one that was there before must stay; a function that was put in the place of a
    module's ``forward``, or a module in the place of another, counts as another module.
    """
    model, target = scorer.model, scorer.target
    modules = dict(model.named_modules())
    parameters = dict(model.named_parameters())
    tensors = {**parameters, **dict(model.named_buffers())}
    labels = [t for t in (case.vessels, case.fov, case.caliber, case.observer2) if t is not None]
    return {
        "the network's modules": {n: (id(m), id(vars(m).get("forward"))) for n, m in modules.items()},
        "hooks": {n: [len(getattr(m, h)) for h in _HOOKS] for n, m in modules.items()}
        | {n: len(getattr(p, "_backward_hooks", None) or ()) for n, p in parameters.items()},
        "training modes": {n: m.training for n, m in modules.items()},
        "the network's weights and buffers": {n: _bits(t) for n, t in tensors.items()},
        "the weights' gradients": {n: None if p.grad is None else _bits(p.grad) for n, p in parameters.items()},
        "which weights ask for gradients": {n: p.requires_grad for n, p in parameters.items()},
        "the image": (_bits(case.image), case.image.requires_grad),
        "the target": [_bits(t) for t in (target.mask, target.fov, target.prediction)],
        "the labels": [_bits(t) for t in labels],
    }


def _bits(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What differs."""
    return [name for name, value in before.items() if after[name] != value]
