from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
import torch
from made_up import make_network, target_on
from scipy.ndimage import map_coordinates
from torch import Tensor, nn
from torch.nn import functional as F

from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.explainers.cam import enlarge, gradcam
from xaibench.explainers.explain import explain
from xaibench.models.networks.unet import VesselUNet
from xaibench.scorer import Scorer

LAYERS = [
    *("encoder-1", "encoder-2", "encoder-3", "encoder-4", "bottleneck"),
    *("decoder-1/4", "decoder-1/2", "decoder-1/1", "last"),
]
RNG = np.random.default_rng(0)


class Replaced(nn.Module):
    """A layer that gives back what it is told to."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, *_: Tensor) -> Tensor:
        return self.output.clone()


def run_with(model: nn.Module, name: str, output: Tensor, image: Tensor) -> Tensor:
    """The logits of the network when the layer of that module name gives ``output``."""
    model = copy.deepcopy(model)
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, Replaced(output))
    logits: Tensor = model(image[None])
    return logits


def output_at(model: nn.Module, name: str, image: Tensor) -> Tensor:
    kept: list[Tensor] = []
    handle = model.get_submodule(name).register_forward_hook(lambda _m, _i, out: kept.append(out.detach().clone()))
    with torch.no_grad():
        model(image[None])
    handle.remove()
    return kept[-1]


def by_the_formula(model: nn.Module, name: str, image: Tensor, mask: Tensor) -> Tensor:
    """ReLU(Σ_k α_k A_k), α_k the mean over the layer's pixels of dy/dA_k, y the mean logit over the mask.

    y is taken as a function of the layer's output alone, in double precision, by replacing the layer.
    """
    model = copy.deepcopy(model).double()
    activation = output_at(model, name, image.double())

    def y(a: Tensor) -> Tensor:
        return run_with(model, name, a, image.double())[0, 0][mask].mean()

    gradient = torch.autograd.functional.jacobian(y, activation)
    alpha = gradient[0].flatten(1).mean(1)
    return torch.relu(sum(a * m for a, m in zip(alpha, activation[0], strict=True)))


def placed(coarse: Tensor, size: torch.Size, factor: int, centre: float = 0.0) -> Tensor:
    """(h, w) enlarged by a whole factor and cut to the size; pixel i lies at factor × i + centre × (factor - 1)."""
    y, x = ((np.arange(n) - centre * (factor - 1)) / factor for n in size)
    where = np.meshgrid(y, x, indexing="ij")
    return torch.from_numpy(map_coordinates(coarse.double().numpy(), where, order=1, mode="nearest"))


def module_name(model: nn.Module, module: nn.Module) -> str:
    return next(name for name, m in model.named_modules() if m is module)


@pytest.mark.parametrize("layer", LAYERS)
def test_gradcam_is_the_formula_of_the_paper(network: VesselUNet, eye: Case, layer: str) -> None:
    ours = gradcam(Scorer(network, target_on(eye)), eye.image, rng=RNG, layer=layer)
    coarse = by_the_formula(network, module_name(network, network.layers[layer]), eye.image, eye.vessels)
    expected = placed(coarse, eye.fov.shape, 64 // coarse.shape[0])  # 61 × 70 was padded to 64 × 72
    assert ours.max() > 0
    torch.testing.assert_close(ours.double(), expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


@pytest.mark.parametrize(
    ("layer", "module", "factor"),
    [("bottleneck", "down", 2), ("down", "down", 2), ("act", "act", 2), ("first.0", "first.0", 1), ("last", "head", 1)],
)
def test_gradcam_of_a_network_as_users_bring_it(
    plain: nn.Module, eye: Case, layer: str, module: str, factor: int
) -> None:
    """Also where an activation works in place on the layer's output: that is not what the layer gave."""
    ours = gradcam(Scorer(plain, target_on(eye)), eye.image, rng=RNG, layer=layer)
    expected = placed(by_the_formula(plain, module, eye.image, eye.vessels), eye.fov.shape, factor)
    assert ours.max() > 0
    torch.testing.assert_close(ours.double(), expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


def test_the_weights_are_finite_differences(plain: nn.Module, eye: Case) -> None:
    """α_k, by adding a little to the whole channel k: dy/dε is the sum of the gradient over its pixels."""
    model = copy.deepcopy(plain).double()
    activation = output_at(model, "down", eye.image.double())
    pixels, step = activation[0, 0].numel(), 1e-5

    def y(a: Tensor) -> float:
        with torch.no_grad():
            return float(run_with(model, "down", a, eye.image.double())[0, 0][eye.vessels].mean())

    alpha = []
    for k in range(activation.shape[1]):
        shift = torch.zeros_like(activation)
        shift[:, k] = step
        alpha.append((y(activation + shift) - y(activation - shift)) / (2 * step) / pixels)
    coarse = torch.relu(torch.einsum("k,khw->hw", torch.tensor(alpha, dtype=torch.float64), activation[0]))
    ours = gradcam(Scorer(plain, target_on(eye)), eye.image, rng=RNG, layer="down")
    expected = placed(coarse, eye.fov.shape, 2)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-3, atol=1e-4 * float(expected.max()))


def test_at_the_last_layer_it_is_the_logit_map_in_disguise(network: VesselUNet, eye: Case) -> None:
    ours = gradcam(Scorer(network, target_on(eye)), eye.image, rng=RNG, layer="last")
    with torch.no_grad():
        logits = torch.relu(network(eye.image[None])[0, 0])
    assert np.corrcoef(ours.flatten(), logits.flatten())[0, 1] == pytest.approx(1, abs=1e-6)


def test_the_default_layer_is_the_bottleneck(scorer: Scorer, eye: Case) -> None:
    assert torch.equal(
        explain(scorer, eye.image, method="gradcam"), explain(scorer, eye.image, method="gradcam[layer=bottleneck]")
    )


def test_it_costs_one_pass(scorer: Scorer, eye: Case) -> None:
    explain(scorer, eye.image, method="gradcam")
    assert scorer.passes == 1


def test_an_unknown_layer_is_told_with_the_known_ones(scorer: Scorer, eye: Case) -> None:
    with pytest.raises(UserError, match="has no layer 'decoder-1/3'") as caught:
        explain(scorer, eye.image, method="gradcam[layer=decoder-1/3]")
    assert all(layer in caught.value.hint for layer in LAYERS)


class Fringe(nn.Module):
    """Layers that no class activation map can be taken of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        self.unused = nn.Conv2d(3, 2, 1)
        self.dense = nn.Linear(3, 3)
        self.never = nn.Conv2d(3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        self.unused(images)
        colour = self.dense(images.mean((2, 3)))
        logits: Tensor = self.conv(images * colour[:, :, None, None])
        return logits


@pytest.mark.parametrize(
    ("layer", "reason"),
    [("unused", "does not depend on layer 'unused'"), ("dense", "no feature map"), ("never", "no feature map")],
)
def test_a_layer_that_cannot_be_looked_at_is_skipped_with_the_reason(eye: Case, layer: str, reason: str) -> None:
    model = Fringe().eval()
    with pytest.raises(Skipped, match=reason):
        explain(Scorer(model, target_on(eye)), eye.image, method=f"gradcam[layer={layer}]")
    assert not any(m._forward_hooks for m in model.modules())


def test_frozen_weights_are_no_obstacle(eye: Case) -> None:
    model = make_network()
    expected = explain(Scorer(model, target_on(eye)), eye.image, method="gradcam")
    frozen = model.requires_grad_(False)
    assert torch.equal(explain(Scorer(frozen, target_on(eye)), eye.image, method="gradcam"), expected)


def test_gradients_that_are_switched_off_are_no_obstacle(scorer: Scorer, eye: Case) -> None:
    expected = explain(scorer, eye.image, method="gradcam")
    with torch.no_grad():
        assert torch.equal(explain(scorer, eye.image, method="gradcam"), expected)
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("centre", [0.0, 0.5])
@pytest.mark.parametrize("size", [(61, 70), (64, 64), (65, 65), (128, 71), (584, 565), (999, 960), (605, 700)])
def test_a_map_of_any_layer_keeps_its_pixels_in_place(
    network: VesselUNet, size: tuple[int, int], centre: float
) -> None:
    """A map that is 0 but for one pixel is brightest where that pixel lies in the image."""
    shapes = {}
    with torch.no_grad():
        for name, layer in network.layers.items():
            handle = layer.register_forward_hook(lambda _m, _i, out, name=name: shapes.update({name: out.shape[-2:]}))
            network(torch.zeros(1, 3, *size))
            handle.remove()
    padded = [-(-n // 8) * 8 for n in size]
    for name, (h, w) in shapes.items():
        factor = padded[0] // h
        assert padded == [h * factor, w * factor]
        for row, column in [(h // 2, w // 3), (size[0] // factor - 2, size[1] // factor - 2)]:
            coarse = torch.zeros(h, w)
            coarse[row, column] = 1
            enlarged = enlarge(coarse, size, centre)
            assert enlarged.shape == size and enlarged.is_contiguous()
            brightest = (enlarged > enlarged.max() - 1e-5).nonzero().double().mean(0)
            middle = centre * (factor - 1)
            assert brightest.tolist() == [row * factor + middle, column * factor + middle], name


@pytest.mark.parametrize("size", [(584, 565), (605, 700), (100, 100), (61, 70)])
@pytest.mark.parametrize("poolings", [1, 2, 3, 4])
def test_poolings_that_leave_a_rest_away_move_nothing(size: tuple[int, int], poolings: int) -> None:
    """The middle of each window, by pooling the coordinates themselves; what no window saw is continued."""
    coarse = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij"))
    for _ in range(poolings):
        coarse = F.avg_pool2d(coarse, 2)
    for axis in (0, 1):
        enlarged = enlarge(coarse[axis], size)
        inside = slice(2**poolings // 2, 2**poolings * coarse.shape[1 + axis] - 2**poolings // 2)
        along = enlarged.movedim(axis, 0)[inside]
        expected = torch.arange(float(size[axis]))[inside, None].expand_as(along)
        torch.testing.assert_close(along, expected, rtol=0, atol=1e-3)


def test_a_network_that_does_not_pad_has_its_maps_stretched() -> None:
    """Seven patches of 14 px, as of a vision transformer: the middle of each has its value."""
    enlarged = enlarge(torch.arange(7.0).expand(5, 7).contiguous(), (70, 98))
    assert enlarged.shape == (70, 98)
    middles = (enlarged[:, 6::14] + enlarged[:, 7::14]) / 2
    np.testing.assert_allclose(middles[:, 1:-1], np.tile(np.arange(1.0, 6), (70, 1)), atol=1e-5)
    np.testing.assert_allclose(middles[:, [0, -1]], [[0, 6]] * 70, atol=0.02)  # nothing lies beyond the border


def test_enlarging_with_the_centre_of_a_pooling_is_the_usual_one() -> None:
    coarse = torch.rand(9, 11, generator=torch.Generator().manual_seed(0))
    usual = F.interpolate(coarse[None, None], (72, 88), mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(enlarge(coarse, (72, 88), 0.5), usual)


def test_enlarging_to_the_same_size_changes_nothing() -> None:
    map_ = torch.rand(9, 11)
    assert torch.equal(enlarge(map_, (9, 11)), map_)


def test_the_generator_is_not_used(scorer: Scorer, eye: Case) -> None:
    rng = np.random.default_rng(3)
    gradcam(scorer, eye.image, rng=rng)
    assert rng.random() == np.random.default_rng(3).random()
    assert inspect.signature(gradcam.function).parameters["layer"].default == "bottleneck"
