"""Each class activation map against its paper's formula, in double precision."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from made_up import draw_eye, make_network, settled, target_on
from nets import Function, PoolingUNet, make
from scipy.ndimage import map_coordinates
from torch import Tensor, nn

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.explainers import cam
from xaibench.explainers.explain import explain
from xaibench.models.layers import output_of
from xaibench.registry import Plugin, Spec
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine

WITH_GRADIENT = [cam.gradcam, cam.gradcam_plus_plus, cam.xgradcam, cam.hirescam, cam.layercam, cam.seg_xrescam]
WITHOUT = [cam.scorecam, cam.ablationcam, cam.eigencam]
every = pytest.mark.parametrize("method", [*WITH_GRADIENT, *WITHOUT], ids=lambda p: p.name)

# By how much each layer is coarser. 61 × 70 px: none of the strides divides both sides.
LAYERS = {
    **{"encoder-1": 1, "encoder-2": 2, "encoder-3": 4, "encoder-4": 8, "bottleneck": 8},
    **{"decoder-1/4": 4, "decoder-1/2": 2, "decoder-1/1": 1, "last": 1},
}
PLACES = [
    *(("own", layer, LAYERS[layer]) for layer in ("encoder-2", "bottleneck", "decoder-1/2", "last")),
    *[("plain", "down", 2), ("plain", "act", 2), ("plain", "first.0", 1)],  # behind two of these an in-place ReLU
]
places = pytest.mark.parametrize(("net", "layer", "factor"), PLACES)


def output_at(model: nn.Module, name: str, image: Tensor) -> Tensor:
    with torch.no_grad(), output_of(model.get_submodule(name)) as outputs:
        model(image[None])
    return outputs[-1]


def placed(coarse: Tensor, size: torch.Size, factor: int) -> Tensor:
    """(h, w) enlarged by a whole factor and cut to the size; pixel i lies at factor × i."""
    y, x = (np.arange(n) / factor for n in size)
    where = np.meshgrid(y, x, indexing="ij")
    return torch.from_numpy(map_coordinates(coarse.double().numpy(), where, order=1, mode="nearest"))


@cache
def network_called(net: str) -> nn.Module:
    """A minus before the name turns the sign of all logits."""
    model = make_network() if net.removeprefix("-") == "own" else make("plain", 3)
    if net.startswith("-"):
        with torch.no_grad():
            model.head.weight.neg_()
            model.head.bias.neg_()
    return model


def map_of(method: Plugin, model: nn.Module, case: Case, **given: object) -> Tensor:
    return explain(Scorer(model, target_on(case)), case.image, method=Spec(method, tuple(given.items())))


class AsFunction:
    """The score as a function of what a layer gives, in double precision, the layer replaced."""

    def __init__(self, net: str, layer: str) -> None:
        case, model = draw_eye(), network_called(net)
        module = getattr(model, "layers", {}).get(layer)
        self.name = next((name for name, m in model.named_modules() if m is module), layer)
        self.model = copy.deepcopy(model).double().requires_grad_(False)
        self.image, self.mask, self.fov = case.image.double(), case.vessels, case.fov
        self.activation = output_at(self.model, self.name, self.image)
        self.gradient = torch.autograd.functional.jacobian(self.score, self.activation)

    def score(self, activation: Tensor) -> Tensor:
        with self.model.get_submodule(self.name).register_forward_hook(lambda *_: activation.clone()):
            return self.model(self.image[None])[0, 0][self.mask].mean()

    def score_of_image(self, image: Tensor) -> float:
        with torch.no_grad():
            return float(self.model(image[None])[0, 0][self.mask].mean())


at_layer = cache(AsFunction)


def expected(coarse: np.ndarray, factor: int, case: Case) -> Tensor:
    return placed(torch.from_numpy(np.maximum(coarse, 0)), case.fov.shape, factor)


def assert_agree(ours: Tensor, reference: Tensor, share: float = 1e-4) -> None:
    assert reference.max() > 0
    torch.testing.assert_close(ours.double(), reference, rtol=1e-3, atol=share * float(reference.max()))


def gradcam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.einsum("khw,k->hw", a, g.mean((1, 2)))


def gradcam_pp(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    denominator = 2 * g**2 + a.sum((1, 2), keepdims=True) * g**3
    alpha = np.divide(g**2, denominator, where=g != 0, out=np.zeros_like(g))
    return np.einsum("khw,k->hw", a, (alpha * np.maximum(g, 0)).sum((1, 2)))


def xgradcam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return sum((a_k / a_k.sum() * g_k).sum() * a_k if a_k.any() else 0 for a_k, g_k in zip(a, g, strict=True))


def hirescam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.einsum("khw,khw->hw", a, g)


def layercam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.einsum("khw,khw->hw", a, np.where(g > 0, g, 0))


def seg_xrescam(a: np.ndarray, g: np.ndarray, window: int = 2) -> np.ndarray:
    pooled = np.empty_like(g)
    for y in range(0, g.shape[1], window):
        for x in range(0, g.shape[2], window):
            here = np.s_[:, y : y + window, x : x + window]
            pooled[here] = g[here].mean((1, 2), keepdims=True)
    return hirescam(a, pooled)


def eigencam(a: np.ndarray, _g: np.ndarray) -> np.ndarray:
    u, s, _v = np.linalg.svd(a.reshape(len(a), -1).T, full_matrices=False)
    return (np.sign(u[np.abs(u[:, 0]).argmax(), 0]) * s[0] * u[:, 0]).reshape(a.shape[1:])


FORMULAS: list[tuple[Plugin, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = [
    *[(cam.gradcam, gradcam), (cam.gradcam_plus_plus, gradcam_pp), (cam.xgradcam, xgradcam)],
    *[(cam.hirescam, hirescam), (cam.layercam, layercam), (cam.seg_xrescam, seg_xrescam), (cam.eigencam, eigencam)],
]
FORMULAS_AT_PLACES = [(*formula, *place) for formula in FORMULAS for place in PLACES]
FORMULAS_AT_PLACES += [(*FORMULAS[0], "own", *place) for place in LAYERS.items()]


@pytest.mark.parametrize(("method", "formula", "net", "layer", "factor"), FORMULAS_AT_PLACES)
def test_it_is_the_formula_of_its_paper(
    method: Plugin, formula: Callable[..., np.ndarray], net: str, layer: str, factor: int, eye: Case
) -> None:
    at = at_layer(net, layer)
    coarse = formula(at.activation[0].numpy(), at.gradient[0].numpy())
    assert_agree(map_of(method, network_called(net), eye, layer=layer), expected(coarse, factor, eye))


@every
def test_the_default_layer_is_the_bottleneck(method: Plugin, network: nn.Module, eye: Case) -> None:
    assert torch.equal(map_of(method, network, eye), map_of(method, network, eye, layer="bottleneck"))


@places
def test_ablationcam_weighs_by_the_fall_without_a_channel(net: str, layer: str, factor: int, eye: Case) -> None:
    at = at_layer(net, layer)
    coarse = torch.zeros_like(at.activation[0, 0])
    for k, channel in enumerate(at.activation[0]):
        without = at.activation.clone()
        without[:, k] = 0
        coarse += (at.score(at.activation) - at.score(without)) * channel
    ours = map_of(cam.ablationcam, network_called(net), eye, layer=layer)
    assert_agree(ours, expected(coarse.numpy(), factor, eye), share=1e-3)


def rise_of_each_channel(at: AsFunction, factor: int, baseline: str, case: Case) -> Iterator[float]:
    hidden = (
        at.image * ~at.fov if baseline == "zero" else reference_image("blur", case.image, case.fov, case.scale).double()
    )
    for channel in at.activation[0]:
        mask = placed(channel, case.fov.shape, factor)
        low, high = mask[at.fov].aminmax()
        mask = (mask - low) / (high - low) if high > low else torch.zeros_like(mask)
        shown = torch.where(at.fov, mask * at.image + (1 - mask) * hidden, at.image)
        yield at.score_of_image(shown) - at.score_of_image(hidden)


@places
@pytest.mark.parametrize("baseline", ["blur", "zero"])
def test_scorecam_weighs_by_the_rise_over_the_baseline(
    net: str, layer: str, factor: int, baseline: str, eye: Case
) -> None:
    """Also with the logits' sign turned: of a network without training, no channel may raise the score."""
    peaks = []
    for name in (net, f"-{net}"):
        at = at_layer(name, layer)
        rises = torch.tensor(list(rise_of_each_channel(at, factor, baseline, eye)), dtype=torch.float64)
        coarse = torch.einsum("k,khw->hw", rises, at.activation[0])
        reference = expected(coarse.numpy(), factor, eye)
        ours = map_of(cam.scorecam, network_called(name), eye, layer=layer, baseline=baseline)
        torch.testing.assert_close(ours.double(), reference, rtol=1e-3, atol=1e-3 * float(coarse.abs().max()))
        peaks.append(float(reference.max()))
    assert max(peaks) > 0


@pytest.mark.parametrize("window", [1, 3, 5, 100])
def test_windows_that_do_not_divide_the_layer_keep_their_places(window: int, eye: Case) -> None:
    at = at_layer("own", "decoder-1/2")
    coarse = seg_xrescam(at.activation[0].numpy(), at.gradient[0].numpy(), window)
    ours = map_of(cam.seg_xrescam, network_called("own"), eye, layer="decoder-1/2", window=window)
    assert_agree(ours, expected(coarse, 2, eye))


@pytest.mark.parametrize(("window", "method"), [(1, cam.hirescam), (32, cam.gradcam), (36, cam.gradcam)])
def test_from_hirescam_to_gradcam(window: int, method: Plugin, eye: Case) -> None:
    """The layer has 32 × 36 px: a window of 32 leaves a second one, of 4 columns."""
    pooled = map_of(cam.seg_xrescam, network_called("own"), eye, layer="decoder-1/2", window=window)
    same = torch.allclose(pooled, map_of(method, network_called("own"), eye, layer="decoder-1/2"), rtol=1e-4, atol=1e-9)
    assert same == (window != 32)


def shallow(channels: int) -> nn.Module:
    """Features behind a ReLU, and a head that weighs them."""
    features = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(inplace=True))
    return nn.Sequential(OrderedDict(features=features, head=nn.Conv2d(channels, 1, 1)))


def additive(bias: float = 0.3, scale: float = 1.0) -> nn.Module:
    """Features behind a ReLU whose sum, weighted, is the logit; both weights and features are never negative."""
    model = settled(lambda: shallow(5), 0)
    model.head.weight = nn.Parameter(model.head.weight.detach().abs() * scale)
    model.head.bias = nn.Parameter(torch.tensor([bias]))
    return model


@pytest.mark.parametrize("method", [cam.hirescam, cam.layercam, cam.xgradcam, cam.seg_xrescam], ids=lambda p: p.name)
def test_behind_a_relu_and_before_a_linear_map_it_sums_to_the_score(method: Plugin, eye: Case) -> None:
    model, given = additive(), {"window": 1} if method is cam.seg_xrescam else {}
    score = float(Scorer(model, target_on(eye))(eye.image[None]))
    map_ = map_of(method, model, eye, layer="features", **given)
    assert float(map_.double().sum()) == pytest.approx(score - 0.3, rel=1e-4)


def test_ablation_and_gradient_agree_where_all_is_linear(eye: Case) -> None:
    """There w_k of Ablation-CAM is ΣA_k g_k, and that of XGrad-CAM the same over ΣA_k."""
    model = additive()
    a = output_at(model, "features", eye.image)[0]
    on_target = a[:, eye.vessels].mean(1) * model.head.weight.detach().flatten()
    ours = map_of(cam.ablationcam, model, eye, layer="features")
    torch.testing.assert_close(ours, torch.einsum("k,khw->hw", on_target, a), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", [cam.ablationcam, cam.scorecam], ids=lambda p: p.name)
def test_an_offset_of_the_logit_changes_nothing(method: Plugin, eye: Case) -> None:
    """Not even one that makes the score negative, or zero, by which the paper of Ablation-CAM divides."""
    zero = -(float(Scorer(additive(), target_on(eye))(eye.image[None])) - 0.3)
    maps = [map_of(method, additive(bias), eye, layer="features") for bias in (0.0, zero, -5.0)]
    assert maps[0].max() > 0
    for other in maps[1:]:
        torch.testing.assert_close(other, maps[0], rtol=1e-3, atol=1e-4 * float(maps[0].max()))


def test_gradients_whose_squares_underflow_still_count(eye: Case) -> None:
    """Then α is 1/2 everywhere: g⁴ is 0 in single precision, and a denominator of g² + 1e-6 would be all 1e-6."""
    tiny = additive(scale=1e-20)
    ours = map_of(cam.gradcam_plus_plus, tiny, eye, layer="features")
    a = output_at(tiny, "features", eye.image)[0]
    half = torch.einsum("k,khw->hw", tiny.head.weight.detach().flatten() / 2, a)
    torch.testing.assert_close(ours / 1e-20, half / 1e-20, rtol=1e-4, atol=1e-6)


def test_eigencam_is_the_same_for_every_target_and_cuts_nothing_behind_a_relu(network: nn.Module, eye: Case) -> None:
    targets = (target_on(eye, mask) for mask in (eye.vessels, ~eye.vessels & eye.fov))
    assert torch.equal(*(explain(Scorer(network, target), eye.image, method=cam.eigencam) for target in targets))
    features = output_at(additive(), "features", eye.image)[0]
    assert (map_of(cam.eigencam, additive(), eye, layer="features")[features.amax(0) > 1e-3] > 0).all()


def empty(dead: bool) -> nn.Module:
    """A layer that gives nothing but zeros, or one that what follows ignores."""
    model = shallow(4)
    with torch.no_grad():
        (model.features[0].bias if dead else model.head.weight).fill_(-100 if dead else 0)
    return model


@pytest.mark.parametrize("dead", [True, False])
@every
def test_where_there_is_nothing_to_see_the_map_is_zero(method: Plugin, dead: bool, eye: Case) -> None:
    map_ = map_of(method, empty(dead), eye, layer="features")
    assert torch.equal(map_, torch.zeros_like(map_)) or (method is cam.eigencam and not dead)


def fringe() -> nn.Module:
    """A network with layers that no class activation map can be taken of."""

    def forward(network: Any, images: Tensor) -> Tensor:
        network.unused(images)
        return network.conv(images * network.dense(images.mean((2, 3)))[:, :, None, None])

    parts = {"conv": nn.Conv2d(3, 1, 1), "unused": nn.Conv2d(3, 2, 1), "never": nn.Conv2d(3, 2, 1)}
    return Function(forward, **parts, dense=nn.Linear(3, 3)).eval()


def skip(method: Plugin, layer: str, reason: str, case: Case) -> None:
    model = fringe()
    with pytest.raises(Skipped, match=reason):
        map_of(method, model, case, layer=layer)
    assert not any(m._forward_hooks for m in model.modules())


@every
@pytest.mark.parametrize("layer", ["dense", "never"])
def test_no_feature_map_is_a_reason_to_skip(method: Plugin, layer: str, eye: Case) -> None:
    skip(method, layer, f"{layer!r} gave no feature map", eye)


@pytest.mark.parametrize("method", WITH_GRADIENT, ids=lambda p: p.name)
def test_a_score_that_does_not_depend_on_the_layer_is_a_reason_to_skip(method: Plugin, eye: Case) -> None:
    skip(method, "unused", "does not depend on layer 'unused'", eye)


def test_without_gradients_such_a_layer_is_told_by_its_weights(eye: Case) -> None:
    assert map_of(cam.ablationcam, fringe(), eye, layer="unused").max() == 0
    assert map_of(cam.eigencam, fringe(), eye, layer="unused").max() > 0


@every
def test_it_costs_what_it_says(method: Plugin, network: nn.Module, eye: Case) -> None:
    scorer = Scorer(network, target_on(eye))
    explain(scorer, eye.image, method=method)
    # Its bottleneck has eight channels.
    assert scorer.passes == (8 + 2 if method in (cam.scorecam, cam.ablationcam) else 1)


@pytest.mark.parametrize("method", [cam.scorecam, cam.ablationcam], ids=lambda p: p.name)
def test_an_empty_channel_costs_no_pass(method: Plugin, eye: Case) -> None:
    scorer = Scorer(empty(dead=True), target_on(eye))
    explain(scorer, eye.image, method=Spec(method, (("layer", "features"),)))
    assert scorer.passes == 2


@pytest.mark.parametrize("engine", [Engine(1), Engine(5), None])
def test_a_layer_that_is_used_twice_is_ablated_where_it_is_looked_at(engine: Engine | None, eye: Case) -> None:
    """The one ReLU of all: the last call in a pass is the one whose channels are in the map."""
    model = make("pooling")
    assert isinstance(model, PoolingUNet)
    seen: list[Tensor] = []

    def score(channel: int | None) -> float:
        x = torch.relu(model.norm(model.first((eye.image[None] - 0.4) / 0.2)))
        second = torch.relu(model.second(x))
        seen.append(second[0])
        second = second.clone()
        if channel is not None:
            second[:, channel] = 0
        x = second + x
        deep = nn.functional.leaky_relu(model.deep(nn.functional.max_pool2d(x, 2)), 0.1)
        deep = nn.functional.interpolate(deep, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return float(model.head(torch.cat([x, deep], 1))[0, 0][eye.vessels].mean())

    with torch.no_grad():
        weights = torch.tensor([score(None) - score(k) for k in range(6)])
    reference = torch.relu(torch.einsum("k,khw->hw", weights, seen[0]))
    scorer = Scorer(model, target_on(eye), engine=engine)
    assert_agree(explain(scorer, eye.image, method=Spec(cam.ablationcam, (("layer", "relu"),))), reference.double())


def test_frozen_weights_are_no_obstacle(eye: Case) -> None:
    model = make_network()
    expected = map_of(cam.gradcam, model, eye)
    assert torch.equal(map_of(cam.gradcam, model.requires_grad_(False), eye), expected)
