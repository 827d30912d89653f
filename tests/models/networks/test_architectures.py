"""Every kind of network keeps what the explainers and the scorer count on."""

from pathlib import Path

import pytest
import torch
from made_up import layer_outputs, noise, settled
from torch import nn

from xaibench import registry
from xaibench.models.model_loader import load_model
from xaibench.models.networks.architectures import NETWORKS, network_of
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.networks.vessel_network import VesselNetwork
from xaibench.models.weights_file import load_weights, save_weights, weights_digest
from xaibench.scorer.fusion import folded
from xaibench.scorer.local_forward import verified_field

SMALL = {
    "unet": {"channels": [4, 8, 8, 8], "strides": [1, 2, 2]},
    "attention-unet": {"channels": [4, 8, 8, 8], "strides": [2, 2, 2]},
    "segresnet": {"filters": 4, "down": [1, 1, 2], "up": [1, 1]},
}
every = pytest.mark.parametrize("kind", NETWORKS)
COARSEST = {"unet": 4, "attention-unet": 8, "segresnet": 4}


def made(kind: str) -> VesselNetwork:
    return settled(lambda: network_of({"kind": kind, **SMALL[kind]}), 2)


@every
@pytest.mark.parametrize("size", [(64, 64), (61, 70), (33, 47), (8, 8), (7, 5), (1, 1)])
def test_the_output_is_as_large_as_the_input(kind: str, size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert made(kind)(noise(2, 3, *size)).shape == (2, 1, *size)


@every
def test_padding_at_the_right_and_bottom_moves_nothing(kind: str) -> None:
    """A cut image has the logits of the image whose border repeats to the next multiple."""
    image, network = noise(1, 3, 61, 70), made(kind)
    whole = torch.nn.functional.pad(image, (0, 2, 0, 3), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(whole)[..., :61, :70])


@every
def test_no_statistic_of_the_picture_enters(kind: str) -> None:
    """Half a picture made black leaves the far end of the other half as it is."""
    image, network = noise(1, 3, 64, 384), made(kind)
    black = image.clone()
    black[..., 192:] = 0
    with torch.no_grad():
        torch.testing.assert_close(network(image)[..., :32], network(black)[..., :32], rtol=0, atol=0)


@every
def test_standardisation_constants_are_part_of_the_network(kind: str) -> None:
    model, image = made(kind), noise(1, 3, 32, 32)
    assert {"mean", "std"} <= model.state_dict().keys()
    with torch.no_grad():
        before = model(image)
        model.mean += 0.3
        assert not torch.equal(model(image), before)
        torch.testing.assert_close(model(image + 0.3), before, rtol=1e-4, atol=1e-4)


@every
def test_how_far_it_sees_is_found(kind: str) -> None:
    assert 5 < verified_field(made(kind), noise(3, 320, 320)).before < 160


@every
def test_layers_are_named_in_the_order_in_which_data_passes_up_to_the_logit_map(kind: str) -> None:
    network = made(kind)
    outputs = layer_outputs(network, noise(1, 3, 64, 64))
    with torch.no_grad():
        torch.testing.assert_close(outputs["last"], network(noise(1, 3, 64, 64)))
    assert isinstance(network.layers["last"], nn.Conv2d) and network.layers["last"].out_channels == 1
    assert list(outputs) == list(network.layers)
    assert {"encoder-1", "bottleneck", "decoder-1/2", "last"} <= set(outputs)
    sizes = {name: tuple(output.shape) for name, output in outputs.items()}
    assert 64 // sizes["bottleneck"][-1] == COARSEST[kind] == max(64 // size[-1] for size in sizes.values())
    for name, (_, channels, _, width) in sizes.items():
        assert channels > 1 or name == "last"
        if name.startswith("decoder-1/"):
            assert 64 // width == int(name.removeprefix("decoder-1/"))


def test_layers_of_the_u_net(network: VesselUNet) -> None:
    resolutions = {name: 64 // output.shape[-1] for name, output in layer_outputs(network, noise(1, 3, 64, 64)).items()}
    assert resolutions == {
        **{"encoder-1": 1, "encoder-2": 2, "encoder-3": 4, "encoder-4": 8, "bottleneck": 8},
        **{"decoder-1/4": 4, "decoder-1/2": 2, "decoder-1/1": 1, "last": 1},
    }
    coarse = VesselUNet(channels=(4, 8, 8), strides=(2, 2))  # without a level at full resolution
    assert list(coarse.layers) == ["encoder-1", "encoder-2", "bottleneck", "decoder-1/2", "last"]


@every
def test_it_is_saved_with_what_it_is_and_read_again_and_folded(kind: str, tmp_path: Path) -> None:
    network = made(kind)
    assert folded(network) is not network
    save_weights(network, tmp_path / "w.safetensors", {"note": "mine"})
    again = load_weights(tmp_path / "w.safetensors")
    assert type(again) is NETWORKS[kind] and again.architecture == network.architecture
    assert weights_digest(again) == weights_digest(network) and again.card["note"] == "mine"


@pytest.mark.parametrize(
    "architecture",
    [
        {"kind": "transformer", "channels": [4, 8], "strides": [2]},
        {"kind": ["unet"], "channels": [4, 8], "strides": [2]},
        {"kind": "segresnet", "filters": 4, "down": [1], "up": []},
        {"kind": "segresnet", "filters": 4, "down": [1, 60000], "up": [1]},
        {"kind": "segresnet", "filters": 4, "down": 3, "up": [1]},
        {"kind": "segresnet", "filters": "4", "down": [1, 1], "up": [1]},
        {"kind": "segresnet", "filters": 4, "down": [1, 1], "up": [1], "depth": 3},
        {"kind": "segresnet", "down": [1, 1]},
        {"kind": "attention-unet", "channels": [4, 8], "strides": [2, 2]},
        {"kind": "attention-unet", "channels": [4, 8, 8], "strides": [300, 300]},
    ],
)
def test_what_no_network_can_be_is_refused(architecture: dict[str, object]) -> None:
    with torch.device("meta"), pytest.raises((ValueError, TypeError, KeyError)):
        network_of(architecture)


@pytest.mark.parametrize("name", registry.names("model"))
def test_bundled_networks_are_light_and_in_evaluation_mode(name: str) -> None:
    network = load_model(name)
    assert sum(p.numel() for p in network.parameters()) < 2_000_000
    assert not any(m.training for m in network.modules())
    assert registry.get("model", name).summary
