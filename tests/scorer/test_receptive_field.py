"""How far networks see: known reaches, and networks that see everything."""

import pytest
import torch
from nets import Function, make
from torch import nn

from xaibench.models.model_loader import load_model
from xaibench.scorer.receptive_field import ReceptiveField, receptive_field

CPU = torch.device("cpu")


class Shifted(nn.Module):
    """Sees what lies up to 5 px before it and 1 px after it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        padded = nn.functional.pad(images[:, 1:2], (5, 1, 5, 1))
        size = images.shape[-2:]
        return padded[..., : size[0], : size[1]] + padded[..., 6 : 6 + size[0], 6 : 6 + size[1]]


class Convolutions(nn.Module):
    """Three of 3 × 3, the middle one with a stride, enlarged again."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, stride=stride), nn.Conv2d(4, 1, 3, padding=1)
        )
        self.stride = stride

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        size = images.shape[-2:]
        deep = self.convs(images)
        return deep.repeat_interleave(self.stride, 2).repeat_interleave(self.stride, 3)[..., : size[0], : size[1]]


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
        (Shifted(), ReceptiveField(1, 5, 1)),
        (Convolutions(1), ReceptiveField(3, 3, 1)),
        # A node of the middle layer sees 2 px before it and after it, its neighbours add 2, and it fills two pixels.
        (Convolutions(2), ReceptiveField(4, 5, 2)),
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
