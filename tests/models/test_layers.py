from typing import Any

import pytest
import torch
from made_up import noise
from nets import Function, Padded
from torch import nn
from torch.nn import functional

from xaibench.errors import Skipped, UserError
from xaibench.models.layers import find_layer, named_layers, output_of, pixel_centre
from xaibench.models.model_loader import load_model
from xaibench.models.networks.unet import VesselUNet

IMAGE = noise(3, 32, 48)


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules())


def test_a_network_names_its_own_layers(network: VesselUNet) -> None:
    assert named_layers(network, IMAGE) == network.layers
    assert find_layer(network, "decoder-1/2", IMAGE) is network.layers["decoder-1/2"]


def test_of_any_other_the_convolutions_are_found(plain: nn.Module) -> None:
    found = named_layers(plain, IMAGE)
    assert list(found) == ["first.0", "down", "up", "head", "bottleneck", "last"]
    assert found["bottleneck"] is plain.drop and found["last"] is plain.head
    assert hooks(plain) == 0
    with output_of(plain.down) as passes:
        assert named_layers(plain, IMAGE) == found and not passes  # they are looked for once
    plain.drop = nn.Dropout2d()
    assert named_layers(plain, IMAGE)["bottleneck"] is plain.drop


@pytest.mark.parametrize("name", ["unet-phantom", "attention-drive"])
def test_a_bundled_network_in_a_wrapper_keeps_its_layers(name: str) -> None:
    bundled = load_model(name)
    wrapped = named_layers(nn.Sequential(Padded(bundled)), IMAGE)
    for layer in ("bottleneck", "decoder-1/4", "decoder-1/2", "last"):
        with torch.no_grad(), output_of(bundled.layers[layer]) as own, output_of(wrapped[layer]) as found:
            bundled(IMAGE[None])
        assert torch.equal(own[-1], found[-1])


def residual(channels: int, stride: int = 1) -> nn.Module:
    """A block whose shortcut, a 1 × 1 convolution, is called last."""
    body, shortcut = nn.Conv2d(channels, 4, 3, stride, padding=1), nn.Conv2d(channels, 4, 1, stride)
    return Function(lambda block, x: block.body(x).relu() + block.shortcut(x), body=body, shortcut=shortcut)


def pyramid(network: Any, images: torch.Tensor) -> torch.Tensor:
    """Features at 1/4, and these pooled to 2 × 3 pixels whatever the size of the image."""
    x = network.encoder(images)
    pooled = network.pooled(functional.adaptive_avg_pool2d(x, (2, 3)))
    return network.head(torch.cat([x, functional.interpolate(pooled, x.shape[-2:])], 1))


def test_resolutions_are_those_of_whole_blocks_on_the_way_up() -> None:
    encoder = nn.Sequential(residual(3, 2), residual(4, 2))
    up = nn.Sequential(nn.Upsample(scale_factor=2), residual(4))
    unet = nn.Sequential(encoder, up, nn.Upsample(scale_factor=2), nn.Conv2d(4, 1, 1))
    found = named_layers(unet, IMAGE)
    assert found["bottleneck"] is encoder and found["decoder-1/2"] is up
    assert "decoder-1/4" not in found and "decoder-1/1" not in found


@pytest.mark.parametrize("fixed", [False, True], ids=["any-size", "one-size"])
def test_what_is_pooled_to_a_fixed_size_is_no_bottleneck(fixed: bool) -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU())
    head = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.Upsample(scale_factor=4), nn.Conv2d(4, 1, 1))
    model = Function(pyramid, encoder=encoder, pooled=nn.Conv2d(4, 4, 1), head=head)
    if fixed:
        model.register_forward_pre_hook(lambda _, given: given[0].reshape(1, *IMAGE.shape))
    assert named_layers(model, IMAGE)["bottleneck"] is (model.pooled if fixed else head[0])


@pytest.mark.parametrize("layer", ["decoder-1/8", "encoder-3"])
def test_a_resolution_that_another_network_lacks_costs_a_method_its_cell(plain: nn.Module, layer: str) -> None:
    with pytest.raises(Skipped, match=f"PlainCNN has no layer '{layer}'; it has bottleneck, last"):
        find_layer(plain, layer, IMAGE)


def test_what_describes_the_whole_picture_is_no_bottleneck() -> None:
    def squeezed(network: Any, images: torch.Tensor) -> torch.Tensor:
        x = network.down(images)
        return network.up(x * network.squeeze(x.mean((2, 3), keepdim=True)).sigmoid())

    parts = {"down": nn.Conv2d(3, 4, 3, stride=4), "squeeze": nn.Conv2d(4, 4, 1)}
    model = Function(squeezed, **parts, up=nn.ConvTranspose2d(4, 1, 4, stride=4))
    assert named_layers(model, IMAGE)["bottleneck"] is model.down
    only = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 1, 1))
    assert named_layers(only, IMAGE)["bottleneck"] is only[1]


def test_any_module_by_its_full_name(plain: nn.Module) -> None:
    assert find_layer(plain, "first.2", IMAGE) is plain.first[2]
    assert find_layer(plain, "act", IMAGE) is plain.act


@pytest.mark.parametrize(
    ("name", "guess"), [("decoder-1/8", None), ("bottelneck", "Did you mean bottleneck"), ("", None)]
)
def test_an_unknown_layer_is_told_with_the_known_ones(network: VesselUNet, name: str, guess: str | None) -> None:
    with pytest.raises(UserError, match=guess) as caught:
        find_layer(network, name, IMAGE)
    assert repr(name) in caught.value.message and "VesselUNet" in caught.value.message
    assert all(layer in caught.value.hint for layer in network.layers)


def test_a_network_without_convolutions() -> None:
    model = nn.Identity()
    assert named_layers(model, IMAGE) == {}
    with pytest.raises(Skipped, match=r"Identity has no layer 'last'; it has no convolutions"):
        find_layer(model, "last", IMAGE)
    with pytest.raises(UserError, match=r"Identity has no layer 'lost'\. It has no convolutions"):
        find_layer(model, "lost", IMAGE)


def test_no_hook_stays_when_the_pass_fails() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(9, 1, 1))
    with pytest.raises(RuntimeError):
        named_layers(model, IMAGE)
    assert hooks(model) == 0


def test_output_of_collects_and_lets_go(plain: nn.Module) -> None:
    with torch.no_grad():
        expected, alone = plain(IMAGE[None]), plain.first[0](IMAGE[None])
        with output_of(plain.first[0]) as outputs:
            assert torch.equal(plain(IMAGE[None]), expected)  # watching changes nothing
        plain(IMAGE[None])
    assert len(outputs) == 1 and torch.equal(outputs[0], alone) and hooks(plain) == 0


def test_what_was_collected_is_not_changed_by_an_activation_in_place(plain: nn.Module) -> None:
    with torch.no_grad(), output_of(plain.down) as outputs:
        plain(IMAGE[None])
        assert torch.equal(outputs[0], plain.down(plain.first(IMAGE[None])))
        assert (outputs[0] < 0).any()


def test_the_hook_is_gone_after_an_exception(plain: nn.Module) -> None:
    with pytest.raises(ZeroDivisionError), output_of(plain.down):
        raise ZeroDivisionError
    assert hooks(plain) == 0


HALVING = (nn.Conv2d(3, 4, 3, padding="same"), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d((2, 2)))


@pytest.mark.parametrize("pooled", [True, False])
def test_a_coarse_pixel_lies_in_the_middle_of_what_it_sees(network: VesselUNet, pooled: bool) -> None:
    """The middle of the pixels that change it is s·i + centre·(s - 1)."""
    model: nn.Module = nn.Sequential(*HALVING) if pooled else network
    layers = {"out": model} if pooled else {k: v for k, v in network.layers.items() if "encoder" in k or k[0] == "b"}
    assert pixel_centre(model) == (0.5 if pooled else 0.0)
    for layer in layers.values():
        image = torch.rand(1, 3, 256, 256, dtype=torch.double).requires_grad_()
        with output_of(layer) as outputs:
            model.double()(image)
        size = outputs[0].shape[-1]
        factor, i = 256 // size, size // 2
        # Dropout, pooling and ReLU let through only part of one picture: what many pictures and channels see adds up.
        (gradient,) = torch.autograd.grad(outputs[0][..., i, i].sum(), image)
        seen = gradient.abs().sum((0, 1)).nonzero()
        middle = (seen.min(0).values + seen.max(0).values) / 2
        expected = factor * i + pixel_centre(model) * (factor - 1)
        assert middle.tolist() == pytest.approx([expected, expected], abs=1.0 if pooled else 0.5)
    model.float()


def test_without_downsampling_a_pixel_lies_where_it_is() -> None:
    assert pixel_centre(nn.Conv2d(3, 1, 3, padding=1)) == 0.5
