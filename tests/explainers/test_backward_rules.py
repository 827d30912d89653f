"""Operations of a network are found however it calls them, and what is not found is told."""

import pytest
import torch
from made_up import settled, target_on
from nets import Function, OnAView, Statements
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.explainers.backward_rules import Rules, logits_by
from xaibench.explainers.explain import explain
from xaibench.scorer import Scorer

METHODS = ("guided-backprop", "deconvolution", "deeplift", "lrp")


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """Two networks that compute the same, one of them in place."""
    return settled(lambda: Statements(True), 3), settled(lambda: Statements(False), 3)


@pytest.mark.parametrize("method", METHODS)
def test_what_works_in_place_has_the_map_of_what_does_not(
    method: str, pair: tuple[nn.Module, nn.Module], eye: Case
) -> None:
    in_place, plain = (explain(Scorer(net, target_on(eye)), eye.image, method=method) for net in pair)
    assert plain.abs().max() > 0
    torch.testing.assert_close(in_place, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))
    assert all(w.requires_grad for net in pair for w in net.parameters())


def test_a_subtraction_from_behind_is_the_same_subtraction(eye: Case) -> None:
    torch.manual_seed(5)
    parts = {"one": nn.Conv2d(3, 1, 3, padding=1), "other": nn.Conv2d(3, 1, 3, padding=1)}
    ways = (torch.sub, lambda a, b: torch.rsub(b, a), lambda a, b: torch.add(a, b, alpha=-1), lambda a, b: -1 * (b - a))
    differences = [
        Function(lambda self, images, way=way: way(self.one(images), self.other(images)), **parts) for way in ways
    ]
    first, *others = (explain(Scorer(net, target_on(eye)), eye.image, method="lrp") for net in differences)
    for map_ in others:
        torch.testing.assert_close(map_, first, rtol=1e-4, atol=1e-5 * float(first.abs().max()))


def test_parameters_are_no_pictures(pair: tuple[nn.Module, nn.Module], eye: Case) -> None:
    """A factor that is made of a weight is a constant, whether that asks for gradients or not."""
    scorer = Scorer(pair[1], target_on(eye))
    asked = explain(scorer, eye.image, method="lrp")
    pair[1].requires_grad_(False)
    try:
        assert torch.equal(explain(scorer, eye.image, method="lrp"), asked)
    finally:
        pair[1].requires_grad_(True)


@pytest.mark.parametrize("method", METHODS)
def test_what_rules_do_not_see_is_told(method: str, eye: Case) -> None:
    with pytest.raises(Skipped, match="logits change when its operations are replaced"):
        explain(Scorer(OnAView().eval(), target_on(eye)), eye.image, method=method)


@pytest.mark.parametrize("method", ["deeplift", "lrp"])
def test_an_operation_without_a_rule_is_noticed(method: str, eye: Case) -> None:
    cubes = lambda self, images: self.conv(images) ** 3
    powers = settled(lambda: Function(cubes, conv=nn.Conv2d(3, 1, 3, padding=1)), 0)
    with pytest.raises(Skipped, match="without a rule"):
        explain(Scorer(powers, target_on(eye)), eye.image, method=method)


def test_a_view_does_not_matter_to_rules_on_something_else(eye: Case) -> None:
    scorer = Scorer(OnAView().eval(), target_on(eye))
    rules = Rules({"tanh": lambda function, x: function(x)})
    logits = logits_by(rules, scorer, eye.image[None].clone().requires_grad_())
    torch.testing.assert_close(logits, scorer.batched_logits(eye.image[None]), rtol=0, atol=1e-5)


def features(*values: float) -> Tensor:
    """As computed from an image."""
    return torch.tensor(values, dtype=torch.float32, requires_grad=True) * 1


def test_an_overwritten_tensor_is_replaced_in_lists_and_dictionaries() -> None:
    a, b = features(1, 1), torch.zeros(2)
    with Rules({"add": lambda _function, x, y: x + 10 * y}) as rules:
        a.add_(1)
        assert rules.now({"x": [a, b], "size": a.shape})["x"][0].tolist() == [11, 11]
        assert torch.stack((a, b)).tolist() == [[11, 11], [0, 0]] and (a * 1).tolist() == [11, 11]
        a += 1
        assert torch.cat([a, b]).tolist() == [21, 21, 0, 0]
    assert a.tolist() == [21, 21]  # Python itself puts the result of += in its place


def test_an_overwritten_tensor_that_is_gone_is_forgotten() -> None:
    kept: list[Tensor] = []

    def rule(_function: object, x: Tensor) -> Tensor:
        kept.append(x + 1)
        return kept[-1]

    with Rules({"relu": rule}) as rules:
        for _ in range(3):
            features(0, 0).relu_()
        assert len(kept) == 3 and not rules._instead


def test_constants_are_left_to_the_function() -> None:
    with Rules({"relu": lambda _function, x: x + 7}) as rules:
        constant = torch.tensor([-1.0])
        assert constant.relu_() is constant and constant == 0
        assert torch.relu(features(1)) == 8 and rules.met == {"relu"}
