"""What every method that hides parts of an image must do: windows, regions, random masks, learned masks."""

import numpy as np
import pytest
import torch
from torch import nn

from explainers.hiding import FEW, few, gain, grey, region_sums, worth
from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.explainers.explain import explain
from xaibench.explainers.shapley import halvings
from xaibench.registry import get
from xaibench.scorer import Scorer, Target

every = pytest.mark.parametrize("method", FEW)
SEGMENTED = ("feature-ablation", "kernel-shap", "shapley-sampling", "lime")


@every
def test_a_constant_image_gives_next_to_nothing(method: str, scorer: Scorer, eye: Case) -> None:
    assert explain(scorer, grey(eye), method=few(method)).abs().max() < 1e-5


@every
@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_field_of_view_of_a_few_pixels(method: str, side: int, plain: nn.Module, eye: Case) -> None:
    """Also of fewer pixels than there are segments."""
    fov = torch.zeros_like(eye.fov)
    fov[30 : 30 + side, 40 : 40 + side] = True
    scorer = Scorer(plain, Target("small", fov, fov, fov.float()))
    parameters: dict[str, object] = {"area": 0.9} if method == "extremal" else {}
    parameters |= {"segments": 50} if method in SEGMENTED else {}
    maps = {b: explain(scorer, eye.image, method=few(method, baseline=b, **parameters)) for b in ("zero", "blur")}
    assert all(torch.isfinite(map_).all() and map_[~fov].abs().max() == 0 for map_ in maps.values())
    assert maps["zero"].abs().max() > 0
    if get("explainer", method).traits.sums_to == "difference":
        assert float(maps["zero"].sum()) == pytest.approx(gain(scorer, eye.image, "zero"), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("regions", ["slic", "tiles"])
@pytest.mark.parametrize("method", ["feature-ablation", "kernel-shap", "shapley-sampling", "partition-shap"])
def test_of_a_linear_score_each_region_has_its_pixels_sum(method: str, regions: str, linear: Scorer, eye: Case) -> None:
    """Logit = 20 (.4 - green): the value of a region is Σ w (x - x₀) over its pixels."""
    if method == "partition-shap":
        spec, labels = few(method, samples=2000), halvings(eye.fov.numpy())[0]
    else:
        spec, labels = few(method, segments=10, regions=regions), superpixels(eye.image, eye.fov, 10, regions)
    expected = region_sums(worth(eye), labels)
    sums = region_sums(explain(linear, eye.image, method=spec), labels)
    np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
