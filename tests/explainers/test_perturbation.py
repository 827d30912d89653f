import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from made_up import GreenFilter, noise, target_on
from torch import Tensor, nn

from explainers.hiding import few, worth
from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.explainers import perturbation as room
from xaibench.explainers.explain import explain
from xaibench.scorer import Scorer, Target
from xaibench.scorer.batching import Engine
from xaibench.vocabulary import REFERENCES


def small() -> tuple[Tensor, Target]:
    """A picture of noise with a disc for a field of view, 20 × 24 px."""
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    fov = torch.hypot(y - 9, x - 12) <= 8.5
    return noise(3, 20, 24), Target("disc", fov & (x > 10), fov, fov.float())


@pytest.mark.parametrize("baseline", REFERENCES)
def test_occlusion_by_one_pixel_is_the_weight_times_the_difference(baseline: str) -> None:
    image, target = small()
    spec = few(room.occlusion, patch=1, stride=1, baseline=baseline)
    map_ = explain(Scorer(GreenFilter(), target), image, method=spec)
    difference = (image - reference_image(baseline, image, target.fov, target.scale))[1]
    expected = -20.0 * target.mask / target.mask.sum() * difference
    torch.testing.assert_close(map_, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(("patch", "stride"), [(7, 7), (9, 4), (20, 20), (6, 5)])
def test_occlusion_averages_the_windows_a_pixel_lies_in(patch: int, stride: int, plain: nn.Module) -> None:
    """As captum's map, also of windows that reach beyond the picture."""
    image, target = small()
    scorer, reference = Scorer(plain, target), reference_image("blur", image, target.fov, target.scale)
    map_ = explain(scorer, image, method=few(room.occlusion, patch=patch, stride=stride))
    starts = itertools.product(*(range(0, -(-(n - patch) // stride) * stride + 1, stride) for n in (20, 24)))
    hiding = sum(bool(target.fov[y : y + patch, x : x + patch].any()) for y, x in starts)
    assert scorer.passes == hiding + 1  # none for windows that hide nothing
    windows = {"sliding_window_shapes": (3, patch, patch), "strides": (3, stride, stride)}
    theirs = Occlusion(scorer).attribute(image[None], **windows, baselines=reference[None])[0, 0]
    expected = torch.where(target.fov, theirs, 0)
    torch.testing.assert_close(map_, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("regions", ["slic", "tiles"])
def test_feature_ablation_is_the_fall_of_the_score(regions: str, plain: nn.Module, eye: Case) -> None:
    scorer, labels = Scorer(plain, target_on(eye)), superpixels(eye.image, eye.fov, 12, regions)
    reference = reference_image("blur", eye.image, eye.fov, eye.scale)
    map_ = explain(scorer, eye.image, method=few(room.feature_ablation, regions=regions))
    assert scorer.passes == labels.max() + 2
    expected = torch.zeros(eye.fov.shape)
    for i in range(labels.max() + 1):
        region = torch.from_numpy(labels == i)
        fall = scorer(eye.image[None]) - scorer(torch.where(region, reference, eye.image)[None])
        expected[region & eye.fov] = fall / (region & eye.fov).sum()
    torch.testing.assert_close(map_, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(("cell", "keep"), [(6, 0.5), (11, 0.3)])
def test_rise_of_a_linear_score_has_a_closed_form(cell: int, keep: float) -> None:
    """E[score | pixel v kept] - E[score] = Σ_u w (x - x₀)(u) Cov(M(u), M(v)) / keep.

    A node's mask is a tent. Averaged over the shifts, two pixels' masks covary as the overlap of their tents: keep (1 -
    keep) times the product, over both axes, of the tent's autocorrelation, which is the cubic B-spline.
    """
    image, target = small()
    difference = (image - reference_image("mean", image, target.fov, target.scale))[1]
    value = (-20.0 * target.mask / target.mask.sum() * difference).double().numpy()
    offsets = np.linspace(-1, 1, 4001)

    def overlap(n: int) -> np.ndarray:
        lags = np.subtract.outer(np.arange(n), np.arange(n)) / cell
        tent = lambda t: np.clip(1 - np.abs(t), 0, None)
        return np.array([[np.trapezoid(tent(offsets) * tent(offsets + lag), offsets) for lag in row] for row in lags])

    expected = (1 - keep) * overlap(20) @ value @ overlap(24).T
    spec = few(room.rise, samples=3000, cell=cell, keep=keep, baseline="mean")
    map_ = explain(Scorer(GreenFilter(), target, engine=Engine(8)), image, method=spec).double().numpy()
    inside = target.fov.numpy()
    error = np.sqrt(np.mean((map_ - expected)[inside] ** 2)) / np.sqrt(np.mean(expected[inside] ** 2))
    assert error < 0.15 and np.corrcoef(map_[inside], expected[inside])[0, 1] > 0.99


def test_rises_error_falls_as_samples_grow(linear: Scorer, eye: Case) -> None:
    truth = explain(linear, eye.image, method=few(room.rise, samples=2000), seed=9)

    def error(samples: int) -> float:
        map_ = explain(linear, eye.image, method=few(room.rise, samples=samples))
        return float((map_ - truth).square().mean().sqrt())

    assert error(30) > 2 * error(300) > 0


def test_rise_does_not_depend_on_the_logits_offset(eye: Case) -> None:
    """The paper's sum would show how often each pixel happened to be kept."""
    scorers = [Scorer(GreenFilter(level), target_on(eye)) for level in (0.4, 5.4)]
    maps = [explain(scorer, eye.image, method=few(room.rise)) for scorer in scorers]
    torch.testing.assert_close(*maps, rtol=0, atol=1e-4 * float(maps[0].abs().max()))


@pytest.mark.parametrize(("size", "cell", "shift"), [(1, 1, 0.0), (7, 3, 2.999), (24, 24, 0.0), (24, 100, 99.5)])
def test_a_grid_is_enlarged_linearly(size: int, cell: int, shift: float) -> None:
    weights = room.hats(size, cell, shift)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert weights.min() >= 0
    # Values that rise by one from node to node rise by 1 / cell from pixel to pixel.
    np.testing.assert_allclose(weights @ np.arange(weights.shape[1]), (np.arange(size) + shift) / cell)


@pytest.mark.parametrize("area", [0.05, 0.2, 0.6])
def test_extremal_keeps_the_area_it_is_told(area: float, plain: nn.Module, eye: Case) -> None:
    map_ = explain(Scorer(plain, target_on(eye)), eye.image, method=few(room.extremal, area=area, steps=80))
    assert map_.min() >= 0 and map_.max() <= 1 and map_[~eye.fov].abs().max() == 0
    assert float(map_[eye.fov].mean()) == pytest.approx(area, abs=0.03)
    assert map_[eye.fov].max() > 0.95  # it shows what it keeps, and is no grey veil
    # Smooth: linear between nodes four pixels apart, a step is at most a quarter.
    assert (map_.diff(dim=0).abs() * (eye.fov[1:] & eye.fov[:-1])).max() <= 0.25 + 1e-6


def test_extremal_keeps_more_of_the_score_than_other_masks_of_its_area(plain: nn.Module, eye: Case) -> None:
    scorer, reference = Scorer(plain, target_on(eye)), reference_image("mean", eye.image, eye.fov, eye.scale)
    map_ = explain(scorer, eye.image, method=few(room.extremal, area=0.2, steps=80, baseline="mean"))
    assert scorer.passes == 82

    def kept(mask: Tensor) -> float:
        return float(scorer(torch.lerp(reference, eye.image, mask)[None]))

    moved = [kept(torch.where(eye.fov, map_.flip(d).roll(s, (0, 1)), 0)) for d in (0, 1) for s in ((0, 0), (4, 7))]
    assert kept(map_) > max(moved)


def test_extremal_of_a_linear_score_keeps_what_is_worth_most(linear: Scorer, eye: Case) -> None:
    """The best mask of a linear score has the pixels of highest worth; the smooth one gets most of what they have."""
    map_ = explain(linear, eye.image, method=few(room.extremal, area=0.2, steps=100, cell=2, baseline="mean"))
    value = worth(eye, "mean")
    best = value[eye.fov].sort(descending=True).values[: int(0.2 * eye.fov.sum())].sum()
    assert 0.7 * best < float((map_ * value).sum()) <= 1.2 * best


def test_an_extremal_mask_prefers_no_place_of_its_own(eye: Case) -> None:
    """Of a picture upside down the mask is upside down: what is the same everywhere at first is not sorted by place."""
    image = noise(3, 65, 65) * 0.1 + 0.6
    image[:, 12:15, 8:57] = image[:, 40:43, 8:57] = 0.2
    fov = torch.ones(65, 65, dtype=torch.bool)
    maps = []
    for picture in (image, image.flip(1)):
        case = replace(eye, image=picture, fov=fov, vessels=picture[1] < 0.3)
        maps.append(explain(Scorer(GreenFilter(), target_on(case)), picture, method=few(room.extremal, steps=60)))
    torch.testing.assert_close(maps[1], maps[0].flip(0), rtol=0, atol=0.02)
    assert maps[0][10:17].mean() > 3 * maps[0][20:35].mean() and maps[0][38:45].mean() > 3 * maps[0][20:35].mean()
