import numpy as np
import pytest
import torch
from made_up import settled, target_on
from nets import Function, make
from torch import Tensor, nn
from torch.nn import functional as F

from explainers.hiding import gain, worth
from xaibench.data.baseline import random_references
from xaibench.data.case import Case
from xaibench.explainers import gradient as room
from xaibench.explainers.cam import gradcam
from xaibench.explainers.explain import explain
from xaibench.scorer import Scorer
from xaibench.vocabulary import REFERENCES


def jacobian(model: nn.Module, eye: Case) -> Tensor:
    """(3, H, W), by another way through autograd, in double precision."""
    model = model.double()
    score = lambda image: model(image[None])[0, 0][eye.vessels].mean()
    gradient = torch.autograd.functional.jacobian(score, eye.image.double()).float()
    model.float()
    return gradient


@pytest.mark.parametrize("net", ["own", "plain", "pooling", "attention-unet"])
def test_saliency_and_input_x_gradient_are_what_their_names_say(net: str, eye: Case) -> None:
    model = make(net)
    scorer = Scorer(model, target_on(eye))
    saliency = explain(scorer, eye.image, method=room.saliency)
    product = explain(scorer, eye.image, method=room.input_x_gradient)
    assert scorer.passes == 2
    expected = jacobian(model, eye)
    tolerance = {"rtol": 1e-3, "atol": 1e-3 * float(expected.abs().max())}
    torch.testing.assert_close(saliency, expected.abs().amax(0), **tolerance)
    torch.testing.assert_close(product, (expected * eye.image).sum(0), **tolerance)


def test_closed_forms_on_a_linear_scorer(linear: Scorer, eye: Case) -> None:
    w = -20.0 * eye.vessels / eye.vessels.sum()
    for method, expected in [
        (room.saliency, w.abs()),
        (room.input_x_gradient, w * eye.image[1]),
        (room.smoothgrad, w.abs()),
        (room.smoothgrad_squared, w**2),
    ]:
        torch.testing.assert_close(explain(linear, eye.image, method=method), expected, rtol=1e-4, atol=1e-9)
    for name in REFERENCES:
        map_ = room.integrated_gradients(linear, eye.image, baseline=name)
        torch.testing.assert_close(map_, worth(eye, name), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("baseline", REFERENCES)
@pytest.mark.parametrize("net", ["own", "plain", "pooling", "smooth", "attention-unet", "segresnet"])
def test_integrated_gradients_are_complete_within_one_or_two_per_cent(net: str, baseline: str, eye: Case) -> None:
    scorer = Scorer(make(net), target_on(eye))
    map_ = room.integrated_gradients(scorer, eye.image, baseline=baseline, steps=64)
    wanted = gain(scorer, eye.image, baseline)
    # Of what the map adds up, not of a difference that happens to be nearly zero.
    share = 0.02 if net == "segresnet" else 0.01  # norms over the picture bend the path most
    assert float(map_.sum()) == pytest.approx(wanted, abs=share * max(abs(wanted), 0.1 * float(map_.abs().sum())))
    assert map_[~eye.fov].abs().max() == 0


@pytest.mark.parametrize("net", ["own", "plain", "pooling"])
def test_expected_gradients_are_complete_within_five_per_cent(net: str, eye: Case) -> None:
    scorer = Scorer(make(net), target_on(eye))
    map_ = room.expected_gradients(scorer, eye.image, rng=np.random.default_rng(1), samples=400)
    rng, draw = np.random.default_rng(1), random_references(eye.image, eye.fov, eye.scale)
    rng.permutation(400)
    starts = [(draw(rng), rng.random())[0] for _ in range(400)]  # the second number is the place on the path
    with torch.no_grad():
        wanted = float(scorer(eye.image[None]) - scorer(torch.stack(starts)).mean())
    assert float(map_.sum()) == pytest.approx(wanted, abs=0.05 * max(abs(wanted), 0.1 * float(map_.abs().sum())))


def test_smoothgrad_averages_before_it_takes_absolute_values(eye: Case) -> None:
    """Where the gradient is 0 and noisy, signed averaging gives nearly 0; averaging absolute values would not."""
    square = Function(lambda _, images: (images[:, 1:2] - 0.5).square())  # its gradient changes sign at .5
    scorer = Scorer(square, target_on(eye))
    image, area = torch.full_like(eye.image, 0.5), int(eye.vessels.sum())
    map_ = explain(scorer, image, method="smoothgrad[samples=400,noise=0.1]") * area
    squared = explain(scorer, image, method="smoothgrad-squared[samples=400,noise=0.1]") * area**2
    # The gradient is 2 × noise, of standard deviation .2; the mean of 400 has one of .01; of absolute values it is .16.
    assert 0.005 < float(map_[eye.vessels].mean()) < 0.012
    assert float(squared[eye.vessels].mean()) == pytest.approx(0.04, rel=0.02)


def test_without_noise_smoothgrad_is_saliency(scorer: Scorer, eye: Case) -> None:
    plain = explain(scorer, eye.image, method=room.saliency)
    torch.testing.assert_close(explain(scorer, eye.image, method="smoothgrad[samples=2,noise=0]"), plain)


class Small(nn.Module):
    """Two ReLUs, called in one of the ways in which networks call them."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.first, self.second = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 1, 1)
        self.shared = nn.ReLU(inplace="in place" in way)

    def act(self, x: Tensor) -> Tensor:
        if self.way == "function":
            return F.relu(x)
        return torch.relu_(x) if self.way == "torch, in place" else self.shared(x)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.act(self.second(self.act(self.first(images)))))


@pytest.mark.parametrize("way", ["one module", "one module, in place", "function", "torch, in place"])
@pytest.mark.parametrize("open_only", [True, False])
def test_changed_relus_by_hand(way: str, open_only: bool, eye: Case) -> None:
    """The chain rule written out, with the paper's rule at both activations."""
    model = settled(lambda: Small(way), 8)
    with torch.no_grad():
        a = model.first(eye.image[None])
        b = model.second(a.clamp(min=0))
        g = (eye.vessels / eye.vessels.sum())[None, None] * model.head.weight.view(1, 4, 1, 1)
        g = g.clamp(min=0) * ((b > 0) if open_only else 1)
        g = F.conv_transpose2d(g, model.second.weight, padding=1)
        g = g.clamp(min=0) * ((a > 0) if open_only else 1)
        expected = F.conv_transpose2d(g, model.first.weight, padding=1)[0].abs().amax(0)
    method = room.guided_backprop if open_only else room.deconvolution
    map_ = explain(Scorer(model, target_on(eye)), eye.image, method=method)
    assert expected.max() > 0
    torch.testing.assert_close(map_, expected, rtol=1e-4, atol=1e-7)


def test_guided_gradcam_is_the_product(scorer: Scorer, eye: Case) -> None:
    map_ = explain(scorer, eye.image, method="guided-gradcam[layer=decoder-1/2]")
    guided = explain(scorer, eye.image, method=room.guided_backprop)
    assert map_.max() > 0
    torch.testing.assert_close(map_, guided * gradcam(scorer, eye.image, layer="decoder-1/2"))
