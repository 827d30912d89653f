"""What every method that hides parts of an image must do: windows, regions, random masks, learned masks."""

import warnings
from contextlib import nullcontext
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from lime import lime_image
from made_up import GreenFilter, Reader, target_on
from torch import Tensor, nn

from explainers.hiding import FEW, Pointwise, few, gain, grey, region_sums, worth
from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.errors import UserError
from xaibench.explainers.explain import explain
from xaibench.explainers.shapley import halvings
from xaibench.registry import get
from xaibench.running.sandbox.snapshot import State
from xaibench.scorer import Scorer, Target
from xaibench.scorer.batching import Engine

every = pytest.mark.parametrize("method", FEW)
SEGMENTED = ("feature-ablation", "kernel-shap", "shapley-sampling", "lime")


@every
def test_a_constant_image_gives_next_to_nothing(method: str, scorer: Scorer, eye: Case) -> None:
    assert explain(scorer, grey(eye), method=few(method)).abs().max() < 1e-5


@every
@pytest.mark.parametrize("sign", [1, -1])
def test_the_place_that_is_read_stands_out(method: str, sign: int, eye: Case) -> None:
    if method == "extremal" and sign == -1:
        pytest.skip("a mask that keeps the score has no sign")
    place = torch.zeros_like(eye.fov)
    columns = slice(28, 37) if get("explainer", method).family == "perturbation" else slice(30, 35)
    place[34:48, columns] = True  # around or on a thick vessel, darker than its blur
    finer: dict[str, dict[str, object]] = {
        "occlusion": {"patch": 6, "stride": 3},
        "rise": {"samples": 900},
        "extremal": {"steps": 60, "area": 0.05},
        "kernel-shap": {"segments": 30, "samples": 200},
        "partition-shap": {"samples": 300},
        "lime": {"segments": 30, "samples": 200},
    }
    spec = few(method, **finer.get(method, {"segments": 30}))
    map_ = sign * explain(Scorer(Reader(sign * place.float()), target_on(eye)), eye.image, method=spec)
    assert map_[place].max() == map_.max()
    assert float(map_[place].mean()) > 4 * float(map_[~place & eye.fov].abs().mean())


@every
def test_a_seed_decides_the_map_whatever_the_micro_batch(method: str, eye: Case) -> None:
    def map_(engine: Engine | None, seed: int = 5) -> Tensor:
        return explain(Scorer(Pointwise(), target_on(eye), engine=engine), eye.image, method=few(method), seed=seed)

    first = map_(Engine(1))
    assert all(torch.equal(first, map_(engine)) for engine in (Engine(1), Engine(3), Engine(8), None))
    stochastic = get("explainer", method).traits.stochastic
    assert first.std() > 0 and (stochastic or torch.equal(first, map_(Engine(1), seed=6)))


@every
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_printed_warned_of_or_left_behind(
    method: str, fails: bool, plain: nn.Module, eye: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the method itself, of which a run would put it back; also where the network fails."""
    plugin, scorer = get("explainer", method), Scorer(plain.train(), target_on(eye), engine=Engine())
    if fails:
        plain.forward = Mock(side_effect=RuntimeError("no"))
    before, bar = State(scorer, eye), lime_image.tqdm
    states = [np.random.get_state()[1].copy(), torch.get_rng_state()]  # noqa: NPY002
    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="no") if fails else nullcontext():
        warnings.simplefilter("error")
        plugin(scorer, eye.image, rng=np.random.default_rng(0), **FEW[method])
    assert (fails or capfd.readouterr() == ("", "")) and lime_image.tqdm is bar  # shap prints that a network fails
    assert before.changed() == [] and not eye.image.requires_grad and torch.is_grad_enabled()
    assert all(p.grad is None and p.requires_grad for p in plain.parameters())
    if plugin.family == "perturbation" or method in ("lime", "partition-shap"):  # the others draw from the global ones
        assert (np.random.get_state()[1] == states[0]).all()  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), states[1])


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
def test_of_a_linear_score_each_region_has_what_its_pixels_have(method: str, regions: str, eye: Case) -> None:
    """Logit = 20 (.4 - green): the value of a region is Σ w (x - x₀) over its pixels."""
    scorer = Scorer(GreenFilter(), target_on(eye))
    if method == "partition-shap":
        spec, labels = few(method, samples=2000), halvings(eye.fov.numpy())[0]
    else:
        spec, labels = few(method, segments=10, regions=regions), superpixels(eye.image, eye.fov, 10, regions)
    expected = region_sums(worth(eye), labels)
    sums = region_sums(explain(scorer, eye.image, method=spec), labels)
    np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("method", "parameters", "told"),
    [
        *((method, {"baseline": "no"}, "'no'") for method in FEW),
        *((method, {"segments": 0}, "segments=0") for method in SEGMENTED),
        *((method, {"regions": "hexagons"}, "'hexagons'") for method in SEGMENTED),
        ("occlusion", {"patch": 0}, "patch=0"),
        ("occlusion", {"stride": 0}, "stride=0"),
        ("occlusion", {"patch": 62}, "patch=62 is larger than the image, 70 × 61 px"),
        ("occlusion", {"stride": 9}, "stride=9 .* patch=8"),
        ("rise", {"samples": 1}, "samples=1"),
        ("rise", {"cell": 0}, "cell=0"),
        ("rise", {"keep": 1.0}, "keep=1.0"),
        ("extremal", {"steps": 0}, "steps=0"),
        ("extremal", {"cell": 0}, "cell=0"),
        ("extremal", {"area": 0.0}, "area=0.0"),
        ("kernel-shap", {"samples": 12}, "samples=12 cannot tell"),
        ("shapley-sampling", {"permutations": 0}, "permutations=0"),
        ("partition-shap", {"samples": 3}, "samples=3"),
        ("lime", {"samples": 1}, "samples=1"),
    ],
)
def test_wrong_values_are_named(
    method: str, parameters: dict[str, object], told: str, scorer: Scorer, eye: Case
) -> None:
    with pytest.raises(UserError, match=told):
        explain(scorer, eye.image, method=few(method, **parameters))
