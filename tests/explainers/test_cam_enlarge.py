"""Enlarging the map of a coarse layer keeps its pixels in their places."""

import numpy as np
import pytest
import torch
from made_up import layer_outputs, noise
from torch.nn import functional as F

from xaibench.explainers.cam import enlarge
from xaibench.models.networks.unet import VesselUNet


@pytest.mark.parametrize("centre", [0.0, 0.5])
@pytest.mark.parametrize("size", [(61, 70), (64, 64), (65, 65), (128, 71), (584, 565), (999, 960), (605, 700)])
def test_a_map_of_any_layer_keeps_its_pixels_in_place(
    network: VesselUNet, size: tuple[int, int], centre: float
) -> None:
    """A map that is 0 but for one pixel is brightest where that pixel lies in the image."""
    padded = [-(-n // 8) * 8 for n in size]
    for name, output in layer_outputs(network, torch.zeros(1, 3, *size)).items():
        h, w = output.shape[-2:]
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
        inside = slice(2**poolings // 2, 2**poolings * coarse.shape[1 + axis] - 2**poolings // 2)
        along = enlarge(coarse[axis], size).movedim(axis, 0)[inside]
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
    coarse = noise(9, 11)
    usual = F.interpolate(coarse[None, None], (72, 88), mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(enlarge(coarse, (72, 88), 0.5), usual)


def test_enlarging_to_the_same_size_changes_nothing() -> None:
    map_ = torch.rand(9, 11)
    assert torch.equal(enlarge(map_, (9, 11)), map_)
