"""How far networks see: known reaches, and networks that see everything."""

import pytest
import torch
from nets import Function, make
from torch import nn

from xaibench.models.model_loader import load_model
from xaibench.scorer.receptive_field import ReceptiveField, receptive_field

CPU = torch.device("cpu")


def shifted(_network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Sees what lies up to 5 px before it and 1 px after it."""
    padded = nn.functional.pad(images[:, 1:2], (5, 1, 5, 1))
    return padded[..., :-6, :-6] + padded[..., 6:, 6:]


def convolutions(stride: int) -> nn.Module:
    """Three of 3 × 3, the middle one with a stride, enlarged again."""
    first, middle = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, stride=stride)
    convs = nn.Sequential(first, middle, nn.Conv2d(4, 1, 3, padding=1), nn.Upsample(scale_factor=stride))
    return Function(lambda self, images: self.convs(images)[..., : images.shape[-2], : images.shape[-1]], convs=convs)


@pytest.mark.parametrize(
    ("network", "reach"),
    [
        (nn.Conv2d(3, 1, 1), ReceptiveField(0, 0, 1)),
        (nn.Conv2d(3, 1, 7, padding=3), ReceptiveField(3, 3, 1)),
        (nn.Conv2d(3, 1, 3, padding=4, dilation=4), ReceptiveField(4, 4, 1)),
        (
            nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 5, padding=2)),
            ReceptiveField(3, 3, 1),
        ),
        (Function(shifted), ReceptiveField(1, 5, 1)),
        (convolutions(1), ReceptiveField(3, 3, 1)),
        # A node of the middle layer sees 2 px before it and after it, its neighbours add 2, and it fills two pixels.
        (convolutions(2), ReceptiveField(4, 5, 2)),
    ],
    ids=["pointwise", "seven", "dilated", "two", "shifted", "plain", "strided"],
)
def test_known_reaches(network: nn.Module, reach: ReceptiveField) -> None:
    assert receptive_field(network.eval(), CPU) == reach


@pytest.mark.parametrize("name", ["smooth", "attention-unet", "segresnet"])
def test_normalisation_over_the_picture_is_recognised(name: str) -> None:
    assert receptive_field(make(name), CPU) is None


def test_a_network_that_mends_nan_is_found_out() -> None:
    """It looks local to a NaN, which it replaces, and is not: the mean of the picture enters everywhere."""

    def forward(_network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        images = images.nan_to_num(0.5)
        return images[:, 1:2] - images.mean((1, 2, 3), keepdim=True)

    assert receptive_field(Function(forward), CPU) is None


def test_networks_that_take_no_picture_of_the_size_or_give_another_have_none() -> None:
    fixed = Function(lambda _, images: images[:, :1].reshape(-1, 1, 96, 96))
    for network in (fixed, nn.Conv2d(3, 1, 3), nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.MaxPool2d(2))):
        assert receptive_field(network, CPU) is None


@pytest.mark.parametrize("name", ["unet-drive", "unet-phantom"])
def test_the_bundled_networks_are_local(name: str) -> None:
    reach = receptive_field(load_model(name), CPU)
    assert reach is not None and reach.step == 8 and reach.before == reach.after == 55


def test_it_is_found_out_again_when_the_weights_are_others() -> None:
    network = make("own")
    kept = {k: v.clone() for k, v in network.state_dict().items()}
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    blind = receptive_field(network, CPU)
    network.load_state_dict(kept)
    assert receptive_field(network, CPU) == receptive_field(make("own"), CPU) != blind


def test_the_training_state_and_the_generator_are_left_alone() -> None:
    network = make("own")
    network.train()
    state = torch.get_rng_state()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network.eval()
    receptive_field(network, CPU)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
