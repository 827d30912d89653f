"""What maps respond to, on drawn vessels whose widths and contrasts are chosen."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from made_up import green_scorer
from scipy.stats import spearmanr

from xaibench.data.case import Case, make_case
from xaibench.errors import Skipped, UserError
from xaibench.metrics.localisation import width_response as response
from xaibench.metrics.localisation.width_response import caliber_response, context, contrast_response, thin_gap_matched
from xaibench.registry import Plugin

ALL = (caliber_response, contrast_response, thin_gap_matched)
RNG = np.random.default_rng(0)


def bars(radii: Sequence[float], contrasts: Sequence[float], scale: float = 1.0) -> Case:
    """One horizontal bar below the other, 24 px apart, each with its radius and contrast on a ground of .5."""
    height, width = 24 * len(radii), 120
    vessels, caliber = np.zeros((2, height, width))
    image = np.full((height, width), 0.5)
    for i, (radius, contrast) in enumerate(zip(radii, contrasts, strict=True)):
        half = math.ceil(radius) - 1
        rows = slice(24 * i + 12 - half, 24 * i + 13 + half)
        vessels[rows, 10:110], caliber[rows, 10:110], image[rows, 10:110] = 1, radius, 0.5 * (1 - contrast)
    fov = np.ones(vessels.shape, bool)
    return make_case("bars", np.stack([image] * 3), vessels > 0, fov, caliber=caliber, scale=scale)


def score(metric: Plugin, map_: np.ndarray, case: Case, **parameters: Any) -> Any:
    scorer = green_scorer(case, case.vessels if case.vessels.any() else case.fov)
    return metric(np.asarray(map_, np.float32), case, scorer, rng=RNG, **parameters)


def pictured(case: Case, values: Sequence[float]) -> np.ndarray:
    """Each bar filled with its value."""
    map_ = np.zeros(case.fov.shape)
    for i, value in enumerate(values):
        map_[24 * i : 24 * i + 24] = value
    return np.where(case.vessels.numpy(), map_, 0)


RADII = [1.0, 2.0, 3.0, 4.0]
FEW = bars(RADII, [0.1, 0.2, 0.3, 0.4])
THIN_AND_THICK = [1.0, 3.0] * 10
# Thick ones have more contrast, but the two kinds overlap.
CONTRASTS = [0.05 + 0.02 * (i // 2) + 0.05 * (i % 2) for i in range(20)]
MANY = bars(THIN_AND_THICK, CONTRASTS)


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3.0, 1e-9])
def test_a_map_that_says_nothing_scores_exactly_as_chance(metric: Plugin, value: float) -> None:
    assert score(metric, np.full(MANY.fov.shape, value), MANY).value == 0


@pytest.mark.parametrize("metric", [*ALL, context], ids=lambda m: m.name)
def test_only_ratios_count(metric: Plugin) -> None:
    map_ = RNG.normal(size=MANY.fov.shape) + 0.5
    assert score(metric, 4 * map_, MANY).value == pytest.approx(score(metric, map_, MANY).value, abs=1e-12)


def test_by_chance_is_what_a_map_scores_against_turned_vessels() -> None:
    """Turned by hand: a square picture and its vessels, so that nothing leaves it."""
    square = bars([1.0, 3.0] * 3, [0.1 + 0.02 * i for i in range(6)])
    side = min(square.fov.shape)
    case = square.transformed(lambda t: t[..., :side, :side], "square")
    map_ = np.random.default_rng(1).random((side, side)) ** 4
    for metric in (caliber_response, contrast_response):
        found = score(metric, map_, case)
        opposite = [
            score(metric, np.ascontiguousarray(turn(map_)), case).value
            for turn in (np.fliplr, np.flipud, lambda m: np.rot90(m, 2))
        ]
        assert len(found.null) == 7
        np.testing.assert_allclose(found.null[:3], opposite, atol=1e-12)
        assert score(metric, np.ones((side, side)), case).null == (0.0,) * 7


def test_where_thin_ends_is_a_parameter() -> None:
    case = bars([1.0, 2.0, 3.0, 4.0] * 5, [0.2] * 20)
    map_ = pictured(case, [1, 2, 4, 8] * 5)
    areas = np.array([1, 3, 5, 7])
    for radius, few in ((1.0, 1), (2.5, 2)):
        density = [np.average([1, 2, 4, 8][kind], weights=areas[kind]) for kind in (slice(few), slice(few, 4))]
        expected = math.log2(density[1] / density[0])
        assert score(thin_gap_matched, map_, case, radius=radius).value == pytest.approx(expected)
    with pytest.raises(UserError, match="radius=0"):
        score(thin_gap_matched, map_, case, radius=0)


def test_the_slope_of_a_map_proportional_to_width_is_known() -> None:
    widths = [1, 3, 5, 7]
    map_ = pictured(FEW, widths)
    found = score(caliber_response, map_, FEW)
    assert found.value == pytest.approx(1 / map_.mean())
    assert found.curve[0] == (1, 3, 5, 7)
    np.testing.assert_allclose(found.curve[1], np.array(widths) / map_.mean())
    assert score(caliber_response, pictured(FEW, [9 - w for w in widths]), FEW).value < 0


def test_the_line_is_weighted_by_pixels() -> None:
    map_ = pictured(FEW, [1, 0, 5, 2])
    x, y = np.array([1, 3, 5, 7]), np.array([1, 0, 5, 2]) / map_.mean()
    weight = 100 * x  # px of each bar
    expected = np.polyfit(x, y, 1, w=np.sqrt(weight))[0]
    assert score(caliber_response, map_, FEW).value == pytest.approx(expected)


def test_widths_are_drives_and_the_widest_count_together() -> None:
    double = bars([1.5, 3.5, 7.5, 9.0], [0.2] * 4, scale=2.0)
    assert score(caliber_response, pictured(double, [1, 2, 3, 4]), double).curve[0] == (1, 3, 7, 8)
    wide = bars([1.0, 6.0, 9.0], [0.2] * 3)
    assert score(caliber_response, pictured(wide, [1, 2, 3]), wide).curve[0] == (1, 8)


BLANK = make_case("blank", np.full((3, 40, 40), 0.5), np.zeros((40, 40), bool), np.ones((40, 40), bool), scale=1.0)
APART = bars([1.0] * 6 + [3.0] * 6, [0.1] * 6 + [0.4] * 6)
UNSCORED: list[tuple[Plugin, Case, str]] = [
    (caliber_response, bars([2.0, 2.0], [0.1, 0.2]), "1 width,"),
    (caliber_response, BLANK, "0 widths"),
    (contrast_response, BLANK, "0 segments"),
    (contrast_response, FEW, "4 segments"),
    (contrast_response, bars([1.0] * 6, [0.0] * 6), "same contrast"),
    (thin_gap_matched, BLANK, "0 thin and 0 thick"),
    (thin_gap_matched, APART, "0 thin and 0 thick"),
    (thin_gap_matched, bars([1.0] * 4 + [3.0] * 6, [0.2] * 10), r"4 thin and 6 thick .* 5 of each"),
]


@pytest.mark.parametrize(("metric", "case", "reason"), UNSCORED)
def test_without_enough_vessels_there_is_no_score(metric: Plugin, case: Case, reason: str) -> None:
    with pytest.raises(Skipped, match=reason):
        score(metric, np.ones(case.fov.shape), case)


def test_without_anything_on_thin_vessels_there_is_no_gap() -> None:
    with pytest.raises(Skipped, match="matched thin"):
        score(thin_gap_matched, pictured(MANY, [0, 1] * 10), MANY)


def test_the_correlation_with_contrast_is_spearmans() -> None:
    values = RNG.permutation(20) // 2  # with ties
    found = score(contrast_response, pictured(MANY, values), MANY)
    assert found.value == pytest.approx(spearmanr(values, CONTRASTS).statistic, abs=1e-6)
    assert score(contrast_response, pictured(MANY, np.square(CONTRASTS)), MANY).value == pytest.approx(1)
    assert score(contrast_response, pictured(MANY, 1 - np.array(CONTRASTS)), MANY).value == pytest.approx(-1)


def test_the_curve_goes_over_deciles_of_the_contrast() -> None:
    map_ = pictured(MANY, CONTRASTS)
    x, y = (np.array(part) for part in score(contrast_response, map_, MANY).curve)
    assert len(x) == 10 and (np.diff(x) > 0).all()
    assert (x.min(), x.max()) == (pytest.approx(np.sort(CONTRASTS)[:2].mean(), abs=1e-3), pytest.approx(0.27, abs=1e-3))
    np.testing.assert_allclose(y * map_.mean(), x, atol=0.011)


def test_the_oracle_has_no_preference() -> None:
    """Equal densities are equal, also after rounding."""
    assert score(contrast_response, 0.3 * MANY.vessels.numpy(), MANY).value == 0


def test_what_only_follows_contrast_has_no_gap_between_vessels_of_like_contrast() -> None:
    map_ = pictured(MANY, CONTRASTS)
    assert math.log2(map_[MANY.thick.numpy()].mean() / map_[MANY.thin.numpy()].mean()) > 0.4
    assert abs(score(thin_gap_matched, map_, MANY).value) < 0.1


def test_what_prefers_thick_vessels_keeps_its_gap() -> None:
    map_ = pictured(MANY, [1, 4] * 10)
    assert score(thin_gap_matched, map_, MANY).value == pytest.approx(2)
    assert score(thin_gap_matched, pictured(MANY, [4, 1] * 10), MANY).value == pytest.approx(-2)


def test_a_decile_weighs_as_its_rarer_kind() -> None:
    """Two contrasts only: so two bins, with 4 thin : 2 thick bars in one and 2 thin : 4 thick in the other."""
    radii = [1.0] * 4 + [3.0] * 2 + [1.0] * 2 + [3.0] * 4
    case = bars(radii, [0.1] * 6 + [0.3] * 6)
    values = [1] * 4 + [2] * 2 + [3] * 2 + [30] * 4
    area = {1.0: 100, 3.0: 500}
    weight = [min(4 * area[1.0], 2 * area[3.0]), min(2 * area[1.0], 4 * area[3.0])]
    thin, thick = np.average([1, 3], weights=weight), np.average([2, 30], weights=weight)
    assert score(thin_gap_matched, pictured(case, values), case).value == pytest.approx(math.log2(thick / thin))


def test_context_is_the_radius_that_holds_the_share() -> None:
    case = bars([2.0], [0.3], scale=2.0)
    mask = torch.zeros(case.fov.shape, dtype=torch.bool)
    mask[12, 60] = True
    map_ = np.zeros(case.fov.shape, np.float32)
    map_[12, 60], map_[12, 64], map_[12, 70] = 3, -2, 5
    scorer = green_scorer(case, mask)
    values = [context(map_, case, scorer, rng=RNG, share=share).value for share in (0.2, 0.4, 0.5, 0.6, 0.9)]
    assert values == [0, 2, 2, 5, 5]  # px of DRIVE's, half as many as here
    x, y = context(map_, case, scorer, rng=RNG).curve
    assert x[:4] == (0, 1, 2, 3) and x[-1] == 128
    assert y[0] == pytest.approx(0.3) and y[2] == pytest.approx(0.5) and y[-1] == 1 and (np.diff(y) >= 0).all()


def test_context_of_nothing_is_that_of_a_uniform_map() -> None:
    scores = {score(context, np.full(FEW.fov.shape, value), FEW).value for value in (0.0, 0.1, -7.0)}
    assert len(scores) == 1 and scores.pop() > 0


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_context_refuses_what_is_no_share(share: float) -> None:
    with pytest.raises(UserError, match="share"):
        score(context, np.ones(FEW.fov.shape), FEW, share=share)


def test_the_segments_are_cut_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    cut = response.vessel_segments
    monkeypatch.setattr(response, "vessel_segments", lambda case: calls.append(case) or cut(case))
    scorer = green_scorer(MANY)
    for metric in ALL:
        metric(np.ones(MANY.fov.shape, np.float32), MANY, scorer, rng=RNG)
    assert len(calls) == 1
