from __future__ import annotations

import pytest
import torch
from made_up import make_network
from torch.utils.hooks import RemovableHandle

from xaibench.models.networks.unet import VesselUNet


@pytest.mark.parametrize("size", [(64, 64), (61, 70), (33, 47), (8, 8), (7, 5), (1, 1)])
def test_the_output_is_as_large_as_the_input(network: VesselUNet, size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert network(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_padding_at_the_right_and_bottom_moves_nothing(network: VesselUNet) -> None:
    """What a cut picture gives is what the picture gives whose border repeats to the next multiple."""
    image = torch.rand(1, 3, 61, 70, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.pad(image, (0, 2, 0, 3), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(whole)[..., :61, :70])


def test_the_network_is_local(network: VesselUNet) -> None:
    """In evaluation mode a changed pixel changes the logits of its neighbourhood, and those of no other pixel."""
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    changed = image.clone()
    changed[..., 128, 128] = 1 - changed[..., 128, 128]
    with torch.no_grad():
        difference = (network(image) - network(changed))[0, 0].abs()
    rows, columns = difference.nonzero(as_tuple=True)
    assert difference[128, 128] > 0
    assert rows.min() > 32 and rows.max() < 224 and columns.min() > 32 and columns.max() < 224


def test_no_statistic_of_the_picture_enters(network: VesselUNet) -> None:
    """Half a picture made black leaves the far end of the other half as it is."""
    image = torch.rand(1, 3, 64, 256, generator=torch.Generator().manual_seed(1))
    black = image.clone()
    black[..., 128:] = 0
    with torch.no_grad():
        torch.testing.assert_close(network(image)[..., :32], network(black)[..., :32], rtol=0, atol=0)


def test_layers_are_named_by_what_they_are(network: VesselUNet) -> None:
    sizes: dict[str, tuple[int, ...]] = {}

    def watch(name: str, layer: torch.nn.Module) -> RemovableHandle:
        return layer.register_forward_hook(lambda _m, _i, out: sizes.update({name: tuple(out.shape)}))

    handles = [watch(name, layer) for name, layer in network.layers.items()]
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 64, 64))
    for handle in handles:
        handle.remove()
    assert list(network.layers) == [
        *("encoder-1", "encoder-2", "encoder-3", "encoder-4", "bottleneck"),
        *("decoder-1/4", "decoder-1/2", "decoder-1/1", "last"),
    ]
    assert list(sizes) == list(network.layers)  # the order in which data passes
    resolution = {name: 64 // size[-1] for name, size in sizes.items()}
    assert resolution == {
        **{"encoder-1": 1, "encoder-2": 2, "encoder-3": 4, "encoder-4": 8, "bottleneck": 8},
        **{"decoder-1/4": 4, "decoder-1/2": 2, "decoder-1/1": 1, "last": 1},
    }
    assert sizes["decoder-1/1"][1] > 1  # several channels at full resolution
    assert sizes["last"][1] == 1 and logits.shape == sizes["last"]


def test_layers_of_a_network_without_a_full_resolution_level() -> None:
    model = VesselUNet(channels=(4, 8, 8), strides=(2, 2))
    assert list(model.layers) == ["encoder-1", "encoder-2", "bottleneck", "decoder-1/2", "last"]


def test_the_last_layer_is_the_logit_map(network: VesselUNet) -> None:
    kept: list[torch.Tensor] = []
    handle = network.layers["last"].register_forward_hook(lambda _m, _i, out: kept.append(out))
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 64, 64))
    handle.remove()
    torch.testing.assert_close(kept[0], logits)


def test_standardisation_constants_are_part_of_the_network() -> None:
    model = make_network()
    image = torch.rand(1, 3, 32, 32)
    state = model.state_dict()
    assert {"mean", "std"} <= state.keys()
    with torch.no_grad():
        before = model(image)
        model.mean += 0.3
        assert not torch.equal(model(image), before)
        torch.testing.assert_close(model(image + 0.3), before, rtol=1e-4, atol=1e-4)
