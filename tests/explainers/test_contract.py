"""What every registered explainer must do: a new one is tested by being registered."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_up import PlainCNN, cheap, make_network, target_on, unsettle
from torch import Tensor, nn

from xaibench import registry
from xaibench.data.case import Case
from xaibench.explainers.explain import explain
from xaibench.models.weights_file import weights_digest
from xaibench.registry import Plugin
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine

EXPLAINERS, BROKEN = registry.available("explainer")
every = pytest.mark.parametrize("method", EXPLAINERS, ids=lambda p: p.name)


def test_all_registered_explainers_load() -> None:
    assert BROKEN == {}
    assert len([p for p in EXPLAINERS if not p.traits.control]) >= 28
    assert len([p for p in EXPLAINERS if p.traits.control]) >= 9


@every
def test_it_declares_what_it_is(method: Plugin) -> None:
    assert method.summary.endswith(".") and method.family
    assert method.traits.control == (method.family == "control")
    assert method.traits.control or not method.traits.sees_labels
    assert registry.parse("explainer", method.name).plugin is method


@every
def test_it_does_not_matter_whether_the_caller_has_gradients_off(method: Plugin, scorer: Scorer, eye: Case) -> None:
    """As captum has, where it asks for maps of changed pictures."""
    there = explain(scorer, eye.image, method=cheap(method), case=eye)
    with torch.no_grad():
        assert torch.equal(explain(scorer, eye.image, method=cheap(method), case=eye), there)


@every
def test_it_gives_a_finite_map_of_the_images_size(method: Plugin, scorer: Scorer, eye: Case) -> None:
    map_ = explain(scorer, eye.image, method=cheap(method), case=eye)
    assert map_.shape == eye.fov.shape and map_.dtype == torch.float32 and torch.isfinite(map_).all()
    # Of a network with random weights the ReLU of scorecam leaves nothing.
    assert map_.std() > 0 or method.name in ("uniform", "scorecam")
    if not method.traits.signed:
        assert map_.min() >= 0


@every
def test_the_same_seed_gives_the_same_map_bit_for_bit(method: Plugin, network: nn.Module, eye: Case) -> None:
    first, second = (Scorer(network, target_on(eye), engine=Engine()) for _ in range(2))
    second.probability(eye.image[None])  # whatever was computed before
    maps = [explain(s, eye.image, method=cheap(method), case=eye, seed=4) for s in (first, second)]
    assert torch.equal(*maps)


class Shallow(nn.Module):
    """A network so small that it rounds alike in every batch, as the engine makes sure of a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            self.bottleneck.weight.copy_(torch.tensor([[-8.0], [4.0], [-2.0], [1.0]]).expand(4, 3)[..., None, None])
            self.bottleneck.bias.fill_(4.0)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.bottleneck(images)).mean(1, keepdim=True)


@every
def test_the_micro_batch_does_not_matter(method: Plugin, eye: Case) -> None:
    scorers = [Scorer(Shallow(), target_on(eye), engine=engine) for engine in (Engine(1), Engine(3), Engine(8), None)]
    first, *others = (explain(s, eye.image, method=cheap(method), case=eye, seed=4) for s in scorers)
    assert all(torch.allclose(first, other, rtol=1e-4, atol=1e-5 * float(first.abs().max())) for other in others)


@every
def test_it_never_sees_labels_unless_it_says_so(method: Plugin, scorer: Scorer, eye: Case) -> None:
    permutation = torch.from_numpy(np.random.default_rng(0).permutation(eye.fov.numel()))

    def shuffle(t: Tensor) -> Tensor:
        return t.flatten()[permutation].reshape(t.shape)

    assert eye.observer2 is not None
    labels = {"vessels": eye.vessels, "caliber": eye.caliber, "observer2": eye.observer2}
    poisoned = replace(eye, **{name: shuffle(mask) for name, mask in labels.items()})
    maps = [explain(scorer, eye.image, method=cheap(method), case=case) for case in (eye, poisoned)]
    assert torch.equal(*maps) != method.traits.sees_labels


class Failing(nn.Module):
    """A network that fails in its last layer, after all hooks were reached."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Conv2d(5, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(images))
        return logits


def everything(model: nn.Module, case: Case) -> dict[str, Any]:
    return {
        "weights": weights_digest(model),
        "modes": [m.training for m in model.modules()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
        "gradients": [p.grad for p in model.parameters()],
        "asks for gradients": [p.requires_grad for p in model.parameters()],
        "case": case.image.numpy().tobytes() + case.vessels.numpy().tobytes() + case.fov.numpy().tobytes(),
        "image asks": case.image.requires_grad,
        "torch": torch.random.get_rng_state().tolist(),
        "numpy": repr(np.random.get_state()),  # noqa: NPY002
        "python": random.getstate(),
        "gradients on": torch.is_grad_enabled(),
    }


def in_training(model: nn.Module) -> nn.Module:
    model.train()
    next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d | nn.Conv2d)).eval()
    next(model.parameters()).requires_grad_(False)
    return model


@every
@pytest.mark.parametrize("kind", ["own", "plain", "failing"])
def test_it_leaves_everything_as_it_was(method: Plugin, kind: str, eye: Case) -> None:
    """Also of a network that is in training, and also where the network fails."""
    model = {"own": make_network, "plain": lambda: unsettle(PlainCNN(), 0), "failing": Failing}[kind]()
    case = replace(eye, image=eye.image.clone())
    scorer, before = Scorer(in_training(model), target_on(eye), engine=Engine()), everything(model, case)
    if kind == "failing":
        with pytest.raises(RuntimeError):
            explain(scorer, case.image, method=cheap(method), case=case)
            raise RuntimeError("for those that do not need the network")
    else:
        explain(scorer, case.image, method=cheap(method), case=case)
    assert everything(model, case) == before
