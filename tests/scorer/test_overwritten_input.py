"""A network that changes its input where it lies gets the maps and scores of one that works in a copy."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from made_up import PlainCNN, cheap, method_of, settled, target_on
from nets import Function
from torch import Tensor, nn
from torch.nn import functional

from xaibench import registry
from xaibench.data.case import Case, make_case
from xaibench.errors import Skipped
from xaibench.explainers.explain import explain
from xaibench.models.evaluate import predict
from xaibench.models.layers import find_layer
from xaibench.registry import Plugin
from xaibench.scorer import Scorer
from xaibench.scorer.local_forward import Box

EXPLAINERS, METRICS = (registry.available(kind)[0] for kind in ("explainer", "metric"))


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """Two networks that normalise the images first; one does so where they lie, the other one in a copy."""

    def overwriting(network: Any, images: Tensor) -> Any:
        images -= 0.4
        images.div_(0.2).add_(1)
        return network.net(functional.relu(images, inplace=True))

    copying = lambda network, images: network.net(functional.relu((images - 0.4) / 0.2 + 1))
    net = settled(PlainCNN, 3)
    return Function(overwriting, net=net).eval(), Function(copying, net=net).eval()


@pytest.fixture(scope="module")
def large() -> Case:
    """So large that batch norms are merged and crops are scored."""
    vessels = np.zeros((264, 272), bool)
    vessels[100:108] = True
    return make_case("large", np.random.default_rng(0).random((3, 264, 272)), vessels, np.ones_like(vessels))


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("method", EXPLAINERS, ids=lambda p: p.name)
def test_every_map_is_the_same(method: Plugin, pair: Sequence[nn.Module], eye: Case) -> None:
    before, target = eye.image.clone(), target_on(eye)
    same(*(explain(Scorer(net, target), eye.image, method=cheap(method), case=eye) for net in pair))
    assert torch.equal(eye.image, before)


@pytest.mark.parametrize("metric", [m for m in METRICS if m.family != "cost"], ids=lambda p: p.name)
def test_every_score_is_the_same(metric: Plugin, pair: Sequence[nn.Module], eye: Case) -> None:
    target, method = target_on(eye), method_of(registry.get("explainer", "saliency"))
    map_, given = eye.image[1].numpy(), {"window": 16} if metric.name == "shapley-error" else {}

    def score(net: nn.Module) -> float | str:
        try:
            made = metric(map_, eye, Scorer(net, target), rng=np.random.default_rng(0), method=method, **given)
        except Skipped as why:
            return str(why)
        return float(made.value)

    one, other = map(score, pair)
    assert one == (other if isinstance(other, str) else pytest.approx(other, rel=1e-4, abs=1e-6))


def test_every_way_of_passing_is_the_same_on_large_images(pair: Sequence[nn.Module], large: Case) -> None:
    box, filled = Box(40, 50, 48, 58), torch.zeros(3, 8, 8)

    def zeroed(scorer: Scorer, name: str) -> Tensor:
        layer = find_layer(scorer.model, name, large.image)
        return scorer.partial_forward(large.image, layer)(partial(Tensor.mul, other=0.5))

    ways = [
        lambda scorer: predict(scorer.model, large.image),
        lambda scorer: scorer.logits(large.image[None]),
        lambda scorer: scorer.batched_logits(torch.stack([large.image, large.image.flip(1), large.image * 0.5])),
        lambda scorer: torch.tensor(scorer.shared.changed_scores(scorer.local_forward(large.image), [(box, filled)])),
        lambda scorer: zeroed(scorer, "net.down"),
        lambda scorer: zeroed(scorer, "last"),
    ]
    for way in ways:
        same(*(way(Scorer(net, target_on(large))) for net in pair))
