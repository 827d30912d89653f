from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import noise, target_on
from scipy.ndimage import distance_transform_edt
from torch import nn

from xaibench.data.blur import blur_inside
from xaibench.data.case import Case
from xaibench.explainers.explain import explain
from xaibench.metrics.similarity import area_under_roc
from xaibench.scorer import Scorer


def auroc(map_: torch.Tensor, eye: Case) -> float:
    return area_under_roc(map_[eye.vessels].numpy(), map_[eye.fov & ~eye.vessels].numpy())


def test_random_is_chance(linear: Scorer, eye: Case) -> None:
    map_ = explain(linear, eye.image, method="random")
    assert map_.min() >= 0 and map_.max() < 1
    assert float(map_.mean()) == pytest.approx(0.5, abs=0.02)
    assert auroc(map_, eye) == pytest.approx(0.5, abs=0.06)
    assert not torch.equal(map_, explain(linear, eye.image, method="random", seed=1))
    assert linear.passes == 0


def test_prediction_is_the_probability_map(linear: Scorer, network: nn.Module, eye: Case) -> None:
    map_ = explain(linear, eye.image, method="prediction")
    torch.testing.assert_close(map_, torch.sigmoid(20 * (0.4 - eye.image[1])))
    assert linear.passes == 1
    with torch.no_grad():
        expected = network(eye.image[None]).sigmoid()[0, 0]
    torch.testing.assert_close(explain(Scorer(network, target_on(eye)), eye.image, method="prediction"), expected)


def test_the_prediction_of_the_target_is_nothing_elsewhere(network: nn.Module, eye: Case) -> None:
    upper = eye.vessels & (torch.arange(eye.vessels.shape[0])[:, None] < eye.vessels.shape[0] // 2)
    scorer = Scorer(network, target_on(eye, upper))
    map_, whole = (explain(scorer, eye.image, method=name) for name in ("prediction-of-target", "prediction"))
    assert torch.equal(map_[upper], whole[upper]) and (whole[eye.vessels & ~upper] > 0).all()
    assert (map_[~upper] == 0).all()


@pytest.mark.parametrize("method", ["green-contrast", "frangi"])
def test_the_picture_alone_shows_the_vessels(linear: Scorer, eye: Case, method: str) -> None:
    map_ = explain(linear, eye.image, method=method)
    assert auroc(map_, eye) > 0.9
    assert (map_[~eye.fov] == 0).all() and linear.passes == 0
    bright = replace(eye, image=torch.where(eye.fov, 0.8 - eye.image, 0.0))
    assert auroc(explain(linear, bright.image, method=method), eye) < 0.6  # bright lines are no vessels


@pytest.mark.parametrize("method", ["green-contrast", "frangi"])
def test_the_edge_of_the_field_of_view_is_no_vessel(eye: Case, linear: Scorer, method: str) -> None:
    clean = torch.where(eye.fov, 0.6 - 0.35 * eye.vessels, 0.0).expand(3, -1, -1).contiguous()
    map_ = explain(linear, clean, method=method)
    inner = torch.from_numpy(distance_transform_edt(eye.fov.numpy()) > 4)
    rim = eye.fov & ~inner & torch.from_numpy(distance_transform_edt(~eye.vessels.numpy()) > 8)
    assert rim.sum() > 100 and map_[rim].max() < 0.05 * map_[eye.vessels].median()


@pytest.mark.parametrize("method", ["green-contrast", "frangi"])
def test_what_lies_outside_the_field_of_view_is_not_looked_at(eye: Case, linear: Scorer, method: str) -> None:
    other = torch.where(eye.fov, eye.image, noise(*eye.image.shape))
    assert torch.equal(explain(linear, eye.image, method=method), explain(linear, other, method=method))


def test_the_oracle_is_the_truth(linear: Scorer, eye: Case) -> None:
    map_ = explain(linear, eye.image, method="vessels-oracle", case=eye)
    assert torch.equal(map_, eye.vessels.float()) and auroc(map_, eye) == 1


def test_the_background_of_a_flat_field_is_flat_everywhere() -> None:
    fov = np.zeros((80, 90), bool)
    fov[20:50, 30:60] = True
    np.testing.assert_allclose(blur_inside(np.where(fov, 0.7, 0.0), fov, 4.0), 0.7, rtol=3e-4)
