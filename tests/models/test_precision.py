"""A network in bfloat16: nearly the same answers, from the same layers, also in copies and with gradients."""

import copy

import pytest
import torch
from made_up import cheap, make_network, target_on

from xaibench import registry
from xaibench.data.case import Case
from xaibench.explainers.explain import explain
from xaibench.models.precision import in_precision
from xaibench.models.weights_file import weights_digest
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine


def test_full_precision_is_the_network_itself() -> None:
    network = make_network()
    assert in_precision(network, "float32") is network


def test_logits_are_near_and_not_the_same(eye: Case) -> None:
    network = make_network().eval()
    reduced = in_precision(network, "bf16")
    with torch.inference_mode():
        whole, less = network(eye.image[None]), reduced(eye.image[None])
    assert less.dtype == torch.float32
    assert 0 < float((whole - less).abs().max()) < 0.05 * float(whole.abs().max())
    assert weights_digest(reduced) == weights_digest(network) and type(network) is not type(reduced)
    assert isinstance(reduced, type(network)) and not reduced.training


def test_a_copy_computes_with_its_own_weights(eye: Case) -> None:
    """As the networks with random weights are made, which mprt compares with."""
    reduced = in_precision(make_network().eval(), "bf16")
    other = copy.deepcopy(reduced)
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    with torch.inference_mode():
        assert float(other(eye.image[None]).std()) < 1e-6 < float(reduced(eye.image[None]).std())


@pytest.mark.parametrize("name", [n for n in registry.names("explainer") if n != "second-observer"])
def test_every_method_explains_it_alike(eye: Case, name: str) -> None:
    network, spec = make_network().eval(), cheap(registry.get("explainer", name))
    maps = [
        explain(Scorer(n, target_on(eye), engine=Engine()), eye.image, method=spec, seed=0, case=eye)
        for n in (network, in_precision(network, "bf16"))
    ]
    assert maps[1].dtype == torch.float32 and bool(torch.isfinite(maps[1]).all())
    if name in ("ablationcam", "scorecam"):  # what one channel of this network does is below bfloat16's step
        return
    a, b = (m[eye.fov].double() for m in maps)
    assert float(a @ b / (a.norm() * b.norm())) > 0.9  # cosine, since a uniform map has no correlation
