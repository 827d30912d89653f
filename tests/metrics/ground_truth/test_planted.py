"""What a method is worth against a known truth: the exact map, its neighbours, and maps that say nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up import GreenFilter, draw_eye, method_of, own_method, score_of_method, target_on
from scipy.stats import pearsonr, wilcoxon
from sklearn.metrics import roc_auc_score
from torch import Tensor

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.errors import Skipped, UserError
from xaibench.explainers.cam import gradcam
from xaibench.explainers.controls import random, vessels_oracle
from xaibench.explainers.gradient import integrated_gradients
from xaibench.explainers.perturbation import feature_ablation
from xaibench.explainers.shapley import kernel_shap, shapley_sampling
from xaibench.metrics.ground_truth.planted import CELLS, deciding, planted, planted_pixels
from xaibench.metrics.method import Method
from xaibench.models.networks.white_box import SEGMENTERS, white_box
from xaibench.registry import ExplainerTraits, Plugin
from xaibench.scorer import Scorer

CASE = draw_phantom(0, (128, 128))
BOTH = [planted, planted_pixels]
every = pytest.mark.parametrize("segmenter", SEGMENTERS)


def run_scorer(case: Case = CASE) -> Scorer:
    """What the metric gets; its network is not asked."""
    return Scorer(GreenFilter(), target_on(case))


def value(metric: Plugin, method: Method, case: Case = CASE, scorer: Scorer | None = None, **parameters: Any) -> float:
    return score_of_method(metric, method, case, scorer or run_scorer(case), **parameters).value


def exact(scorer: Scorer, image: Tensor, case: Case, baseline: str = "blur") -> Tensor:
    reference = reference_image(baseline, image, case.fov, case.scale)
    return scorer.model.exact(image, reference, scorer.target.mask).float()  # type: ignore[operator,no-any-return]


@every
def test_the_exact_map_and_integrated_gradients_are_right_in_every_pixel(segmenter: str) -> None:
    scorer = run_scorer()
    for metric in BOTH:
        assert value(metric, own_method(exact), scorer=scorer, segmenter=segmenter) == pytest.approx(1, abs=1e-6)
        steps = method_of(integrated_gradients, steps=8)
        assert value(metric, steps, scorer=scorer, segmenter=segmenter) == pytest.approx(1, abs=1e-5)


def test_the_truth_is_relative_to_the_methods_own_reference() -> None:
    for baseline in ("mean", "zero"):
        assert value(planted, method_of(integrated_gradients, steps=4, baseline=baseline)) == pytest.approx(1, abs=1e-5)
    assert value(planted, own_method(lambda *a: exact(*a, "zero"))) < 0.9  # a method without one is held against blur


@every
def test_the_inverted_map_is_the_worst_and_an_unsigned_method_is_asked_for_magnitude(segmenter: str) -> None:
    scorer, inverted = run_scorer(), own_method(lambda *a: -exact(*a), "inverted")
    assert value(planted, inverted, scorer=scorer, segmenter=segmenter) == pytest.approx(-1)
    size = own_method(lambda *a: exact(*a).abs(), "size", signed=False)
    for metric in BOTH:
        assert value(metric, size, scorer=scorer, segmenter=segmenter) == pytest.approx(1, abs=1e-6)
    signed = own_method(lambda *a: exact(*a).abs(), "size, said to be signed")
    assert value(planted, signed, scorer=scorer, segmenter=segmenter) < 1 - 1e-4
    # The pixels that decide are the same whichever way they point.
    assert value(planted_pixels, inverted, scorer=scorer, segmenter=segmenter) == 1


@every
@pytest.mark.parametrize("level", [0.0, 0.1, -2.5])
def test_a_constant_map_is_exactly_chance(segmenter: str, level: float) -> None:
    constant = own_method(lambda _s, image, _c: torch.full(image.shape[1:], level))
    assert value(planted, constant, segmenter=segmenter) == 0
    assert value(planted_pixels, constant, segmenter=segmenter) == 0.5


def test_the_value_is_pearsons_r_and_the_area_under_the_roc_in_the_field_of_view() -> None:
    box, shown = white_box("linear", CASE)
    noise = torch.randn(CASE.fov.shape, generator=torch.Generator().manual_seed(0))
    half = own_method(lambda *a: exact(*a) / exact(*a).std() + noise)
    scorer = run_scorer()
    fov, mask = CASE.fov.numpy(), (torch.sigmoid(box(shown.image[None]))[0, 0] >= 0.5) & CASE.fov
    truth = box.exact(shown.image, reference_image("blur", shown.image, shown.fov, shown.scale), mask)
    map_ = truth.float() / truth.float().std() + noise
    expected = pearsonr(map_.numpy()[fov], truth.numpy()[fov]).statistic
    assert 0.3 < expected < 0.9
    assert value(planted, half, scorer=scorer) == pytest.approx(expected, abs=1e-5)
    size = np.abs(truth.numpy()[fov])
    order = np.argsort(-size)
    few = np.zeros(size.size, bool)
    few[order[: int(np.searchsorted(size[order].cumsum(), 0.9 * size.sum())) + 1]] = True
    area = roc_auc_score(few, np.abs(map_.numpy()[fov]))
    assert value(planted_pixels, half, scorer=scorer) == pytest.approx(area, abs=1e-5)


def test_the_curve_sums_over_cells_and_a_map_of_cells_is_right_from_its_own_size_on() -> None:
    def pooled(scorer: Scorer, image: Tensor, case: Case) -> Tensor:
        mean = torch.nn.functional.avg_pool2d(exact(scorer, image, case)[None], 8)
        return mean.repeat_interleave(8, 1).repeat_interleave(8, 2)[0]

    everywhere = replace(CASE, fov=torch.ones_like(CASE.fov))  # no cell is cut
    score = score_of_method(planted, own_method(pooled), everywhere, run_scorer(everywhere))
    sides, values = score.curve
    assert sides == tuple(map(float, CELLS)) and values[0] == score.value < 0.7
    assert values[0] < values[1] < values[2] < 0.99
    assert values[3:] == pytest.approx((1, 1, 1), abs=1e-6)


@pytest.mark.parametrize("method", [kernel_shap, shapley_sampling, feature_ablation], ids=lambda m: m.name)
def test_a_method_of_regions_is_judged_by_its_regions_and_the_exact_ones_are_above_every_grad_cam(
    method: Plugin,
) -> None:
    few = {"samples": 120} if method is kernel_shap else {"permutations": 2} if method is shapley_sampling else {}
    scorer = run_scorer()
    score = score_of_method(planted, method_of(method, segments=20, regions="tiles", **few), CASE, scorer)
    assert score.value == pytest.approx(1, abs=1e-4)  # the game is additive, so that any of them is exact
    assert score.curve[1][0] < 0.5  # of single pixels it can't be right
    for layer in ("bottleneck", "last"):
        assert value(planted, method_of(gradcam, layer=layer), scorer=scorer) < 0.95


def test_regions_that_are_no_regions_of_ours_are_pixels() -> None:
    def pooled(
        scorer: Scorer, image: Tensor, *, rng: np.random.Generator, segments: int = 3, regions: str = "stars"
    ) -> Tensor:
        return torch.nn.functional.avg_pool2d(image[1:2], 9, 1, 4)[0]

    plugin = Plugin("explainer", "stars", pooled, "local", ExplainerTraits(signed=True))
    score = score_of_method(planted, method_of(plugin), CASE, run_scorer())
    assert score.value == score.curve[1][0]


def test_pointing_at_thin_vessels_costs_where_they_are_not_read() -> None:
    thick = own_method(lambda _s, _i, case: case.thick.float(), "thick", signed=False)
    all_of_them = own_method(lambda _s, _i, case: case.vessels.float(), "all", signed=False)
    scorer = run_scorer()
    for metric in BOTH:
        better, worse = (value(metric, m, scorer=scorer, segmenter="thick") for m in (thick, all_of_them))
        assert better > worse


def test_where_a_marker_is_needed_the_marker_is_missed() -> None:
    def without(scorer: Scorer, image: Tensor, case: Case) -> Tensor:
        return torch.where(scorer.model.marker > 0, 0, exact(scorer, image, case))  # type: ignore[operator]

    scorer = run_scorer()
    for metric in BOTH:
        assert value(metric, own_method(without), scorer=scorer, segmenter="marker") < 0.999
    assert value(planted, own_method(without), scorer=scorer, segmenter="marker") < 0.3


def test_one_map_is_made_for_both_metrics_and_kept_by_all_that_decides_it() -> None:
    made = []

    def counted(scorer: Scorer, image: Tensor, case: Case) -> Tensor:
        made.append(case.id)
        return exact(scorer, image, case)

    scorer, method = run_scorer(), own_method(counted)
    for metric in BOTH:
        value(metric, method, scorer=scorer)
    assert len(made) == 1
    value(planted, method, scorer=scorer, segmenter="marker")
    value(planted, own_method(counted, "other"), scorer=scorer)
    value(planted, method, replace(CASE, image=CASE.image.flip(-1)), scorer)
    assert len(made) == 4 and scorer.passes == 0


def test_class_activation_maps_run_on_the_white_boxes() -> None:
    for segmenter in SEGMENTERS:
        for layer in ("bottleneck", "last"):
            assert value(planted, method_of(gradcam, layer=layer), segmenter=segmenter) > 0.02


def test_what_cannot_be_had_is_said() -> None:
    with pytest.raises(UserError, match="no segmenter called 'lineal'"):
        value(planted, own_method(exact), segmenter="lineal")
    with pytest.raises(Skipped, match="cannot explain the white box: WhiteBox has no layer 'decoder-1/2'"):
        value(planted, method_of(gradcam, layer="decoder-1/2"))
    flat = replace(CASE, image=torch.where(CASE.fov, 0.5, 0.0).expand(3, -1, -1).contiguous())
    with pytest.raises(Skipped, match="white box 'linear' finds no vessel in case phantom-0000"):
        value(planted, own_method(exact), flat)


@pytest.mark.parametrize("metric", BOTH, ids=lambda m: m.name)
def test_over_eyes_the_oracle_is_better_than_noise(metric: Plugin) -> None:
    eyes = [draw_eye(image_seed=seed) for seed in range(10)]
    scorers = [run_scorer(eye) for eye in eyes]
    for segmenter in SEGMENTERS:
        best, noise = (
            [value(metric, method_of(m), c, s, segmenter=segmenter) for c, s in zip(eyes, scorers, strict=True)]
            for m in (vessels_oracle, random)
        )
        assert wilcoxon(best, noise, alternative="greater").pvalue < 0.01


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_the_pixels_that_decide_are_the_fewest(seed: int, share: float) -> None:
    truth = np.random.default_rng(seed).standard_normal(50)
    found, size = deciding(truth, share), np.abs(truth)
    assert size[found].sum() >= share * size.sum() * (1 - 1e-12)
    assert size[found].sum() - size[found].min() < share * size.sum()
    assert not found.all() or share == 1
    assert size[found].min() > size[~found].max(initial=-1)
