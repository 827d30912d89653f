import copy

import numpy as np
import pytest
import torch
from made_up import target_on
from nets import MAKERS, Function, make
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from xaibench.data.case import Case, make_case
from xaibench.explainers.explain import explain
from xaibench.explainers.lrp import lrp
from xaibench.scorer import Scorer

EPSILON = 0.25


def tiny() -> Case:
    """6 × 8 px, all of it field of view."""
    image = np.random.default_rng(0).random((3, 6, 8), dtype=np.float32)
    vessels = np.zeros((6, 8), bool)
    vessels[2:4, 1:7] = True
    return make_case("tiny", image, vessels, np.ones((6, 8), bool), caliber=vessels.astype(float), scale=1.0)


def as_matrix(layer: nn.Module, shape: torch.Size) -> tuple[np.ndarray, np.ndarray, torch.Size]:
    """(outputs, inputs) weights and (outputs,) biases of an affine layer, by feeding it unit vectors."""
    with torch.no_grad():
        bias = layer(torch.zeros(shape))
        weights = layer(torch.eye(shape.numel()).reshape(-1, *shape[1:])) - bias
    return weights.flatten(1).T.double().numpy(), bias.flatten().double().numpy(), bias.shape


def through_affine(x: np.ndarray, w: np.ndarray, b: np.ndarray, r: np.ndarray, connected: np.ndarray) -> np.ndarray:
    """R_i = Σ_j (x_i w_ji + (b_j + ε sign z_j)/n_j) R_j / (z_j + ε sign z_j); output j has n_j inputs."""
    z = w @ x + b
    e = EPSILON * np.sqrt(np.mean(z**2)) * np.where(z < 0, -1, 1)
    shared = connected * ((b + e) / connected.sum(1))[:, None]
    return (w * x + shared).T @ (r / (z + e))


def connections(layer: nn.Module, shape: torch.Size) -> np.ndarray:
    layer = copy.deepcopy(layer)
    nn.init.ones_(layer.weight)  # type: ignore[arg-type]
    weights, _, _ = as_matrix(layer, shape)
    return weights.astype(bool)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(3, 4, 3, padding=1, stride=2, bias=False),
        nn.ConvTranspose2d(3, 4, 3, padding=1, output_padding=1, stride=2),
        nn.ConvTranspose2d(3, 4, 2, stride=2),
    ],
    ids=["convolution", "strided", "transposed", "transposed 2 × 2"],
)
@pytest.mark.parametrize("norm", [False, True])
def test_the_rule_is_the_formula_as_matrices(layer: nn.Module, norm: bool) -> None:
    """A layer, a ReLU and a second layer, by dense matrices; batch norm folded in beforehand by the library."""
    torch.manual_seed(1)
    case = tiny()
    bn = nn.BatchNorm2d(4).eval()
    nn.init.normal_(bn.weight, 1, 0.3)
    nn.init.normal_(bn.bias, 0, 0.3)
    bn.running_mean, bn.running_var = torch.randn(4) * 0.2, torch.rand(4) + 0.5
    head = nn.Conv2d(4, 1, 1)

    def enlarged(x: Tensor) -> Tensor:
        return (x.repeat_interleave(2, 2).repeat_interleave(2, 3) if x.shape[-1] < 8 else x)[..., :6, :8]

    net = nn.Sequential(layer, bn if norm else nn.Identity(), nn.ReLU(), head)
    model = Function(lambda self, images: enlarged(self.net(images)), net=net).eval()
    folded = layer
    if norm:
        folded = fuse_conv_bn_eval(copy.deepcopy(layer).eval(), bn, transpose=isinstance(layer, nn.ConvTranspose2d))
    x = case.image[None]
    w1, b1, middle = as_matrix(folded, x.shape)
    w2, b2, _ = as_matrix(head, middle)
    hidden = np.maximum(w1 @ x.flatten().double().numpy() + b1, 0)
    with torch.no_grad():
        logits = head(torch.relu(folded(x))).requires_grad_()
    (share,) = torch.autograd.grad(enlarged(logits)[0, 0][case.vessels].mean(), logits)
    start = (share * logits).detach().flatten().double().numpy()
    r = through_affine(hidden, w2, b2, start, connections(head, middle))
    r = through_affine(x.flatten().double().numpy(), w1, b1, r, connections(folded, x.shape))
    expected = torch.from_numpy(r).reshape(3, 6, 8).sum(0).float()
    map_ = explain(Scorer(model, target_on(case)), case.image, method=lrp)
    torch.testing.assert_close(map_, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("net", MAKERS)
@pytest.mark.parametrize("epsilon", [0.01, 0.25])
def test_relevance_is_conserved_within_one_per_cent(net: str, epsilon: float, eye: Case) -> None:
    scorer = Scorer(make(net), target_on(eye))
    map_ = lrp(scorer, eye.image, epsilon=epsilon)
    assert scorer.passes == 1
    wanted = float(scorer(eye.image[None]))
    assert float(map_.sum()) == pytest.approx(wanted, abs=0.01 * max(abs(wanted), 0.1 * float(map_.abs().sum())))


def test_a_skip_connection_shares_in_proportion(eye: Case) -> None:
    """y = 3x + x: by one way come three quarters of the relevance, by the other a quarter."""
    skip = Function(lambda _, images: 3 * images[:, 1:2] + images[:, 1:2])
    map_ = explain(Scorer(skip, target_on(eye)), eye.image, method=lrp)
    torch.testing.assert_close(map_, 4 * eye.image[1] * eye.vessels / eye.vessels.sum())


def test_on_the_green_filter_each_pixel_has_its_own_logit(linear: Scorer, eye: Case) -> None:
    map_ = explain(linear, eye.image, method=lrp)
    torch.testing.assert_close(map_, 20 * (0.4 - eye.image[1]) * eye.vessels / eye.vessels.sum())
