"""What explainers are held against is what it is said to be."""

import numpy as np
import pytest
import torch
from made_up import layer_outputs

from xaibench.conformance import explainer_subjects as room
from xaibench.conformance.explainer_checks import agreement
from xaibench.conformance.trial import CheckFailed
from xaibench.explainers.explain import explain
from xaibench.models.networks.unet import VesselUNet


def test_maps_of_two_devices() -> None:
    map_ = torch.linspace(-1, 1, 100, dtype=torch.float64).view(10, 10)
    assert "1.0e-02" in agreement(map_, map_ * 1.01, stochastic=False)
    assert "0.0e+00" in agreement(map_ * 0, map_ * 0, stochastic=False)
    for other in (map_ * 1.05, map_.T, map_ * torch.nan):
        with pytest.raises(CheckFailed):
            agreement(map_, other, stochastic=False)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(10, 10)))
    assert "correlation" in agreement(map_, map_ + 0.1 * noise, stochastic=True)
    with pytest.raises(CheckFailed):
        agreement(map_, noise, stochastic=True)


def test_the_planted_network_reads_its_window_alone() -> None:
    """From the definition: the mean over all pixels of gain × (level − green)₊ inside the window."""
    case = room.dotted_case(room.PLANTED_SIZE)
    for window in room.WINDOWS:
        scorer = room.scorer_of(case, room.planted_network(window), mask=case.fov)
        elsewhere = case.image.clone()
        elsewhere[:, window[0], window[1]] = 1
        assert float(scorer(elsewhere[None])) == 0 < float(scorer(case.image[None]))
        leaf = case.image[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(scorer(leaf).sum(), leaf)
        read = torch.zeros_like(case.fov)
        read[window] = True
        dots = (case.image[1] < room.LEVEL) & read
        assert torch.equal(gradient[0, 1] < 0, dots) and (gradient[0, [0, 2]] == 0).all()
        darker = torch.where(dots, case.image * 0.9, case.image)
        assert float(scorer(darker[None])) > float(scorer(case.image[None]))
        # What blurring or a mean colour leaves is no evidence.
        mean = case.image[:, case.fov].mean(1)[:, None, None].expand_as(case.image)
        assert float(scorer(mean[None])) == 0


def test_the_subjects_have_the_layers_of_the_bundled_networks() -> None:
    network, case = room.random_network(), room.dotted_case()
    ours, theirs = network.layers, VesselUNet().layers
    assert list(ours) == list(theirs)
    shapes = {name: tuple(output.shape[2:]) for name, output in layer_outputs(network, case.image[None]).items()}
    assert shapes["encoder-1"] == shapes["last"] == (48, 61)
    assert shapes["decoder-1/2"] == (24, 31) and shapes["decoder-1/4"] == (12, 16) and shapes["bottleneck"] == (6, 8)
    case = room.dotted_case(room.PLANTED_SIZE)
    scorer = room.scorer_of(case, room.planted_network(room.WINDOWS[0]))
    for layer in ours:
        map_ = explain(scorer, case.image, method=f"gradcam[layer={layer}]")
        assert map_.shape == room.PLANTED_SIZE and map_.max() > 0
