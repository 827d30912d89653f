import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_up import green_scorer
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import average_precision_score, roc_auc_score

from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.metrics.localisation import overlap
from xaibench.metrics.similarity import Levels, area_under_roc, lift_of, mass_share, near, pointing_hit, turned

SHAPE = (7, 9)
RNG = np.random.default_rng(0)
tied = hnp.arrays(np.float32, SHAPE, elements=st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]))
signed = hnp.arrays(np.float32, SHAPE, elements=st.floats(-1e6, 1e6, width=32))
masks = hnp.arrays(bool, SHAPE)
Field = tuple[np.ndarray, np.ndarray]  # a mask that is not empty, and the field of view around it
fields = st.tuples(masks, masks).map(lambda two: (two[0] & two[1], two[1])).filter(lambda field: field[0].any())
quick = settings(max_examples=60, deadline=None)


@quick
@given(tied, masks)
def test_the_roc_area_is_scikit_learns_ties_included(values: np.ndarray, mask: np.ndarray) -> None:
    assume(mask.any() and not mask.all())
    expected = roc_auc_score(mask.ravel(), values.ravel())
    assert area_under_roc(values[mask], values[~mask]) == pytest.approx(expected, abs=1e-12)


@quick
@given(tied, masks, masks)
def test_average_precision_is_scikit_learns_ties_included(
    values: np.ndarray, positive: np.ndarray, others: np.ndarray
) -> None:
    """Also where some pixels are neither."""
    negative = others & ~positive
    assume(positive.any() and negative.any())
    counted = positive | negative
    levels, vessels = Levels.of(values.ravel()), ~negative.ravel()
    assert levels.average_precision(positive.ravel(), vessels) == pytest.approx(
        average_precision_score(positive[counted], values[counted]), abs=1e-12
    )
    assert levels.roc(positive.ravel(), vessels) == pytest.approx(
        roc_auc_score(positive[counted], values[counted]), abs=1e-12
    )


def test_the_roc_area_counts_a_large_image_exactly() -> None:
    """300 000 pixels, a tenth of them positive: the sum of ranks must not lose digits."""
    values = np.arange(300_000, dtype=np.float32)
    assert area_under_roc(values[-30_000:], values[:-30_000]) == 1
    assert area_under_roc(values[:30_000], values[30_000:]) == 0


@quick
@given(tied, fields)
def test_the_top_share_is_the_mean_over_all_ways_to_break_ties(values: np.ndarray, field: Field) -> None:
    mask, fov = field
    rng, hits = np.random.default_rng(0), []
    flat, truth = values[fov], mask[fov]
    for _ in range(400):
        shuffle = rng.permutation(flat.size)
        first = shuffle[np.argsort(-flat[shuffle], kind="stable")][: truth.sum()]
        hits.append(truth[first].mean())
    error = np.std(hits) / math.sqrt(len(hits))
    assert Levels.of(flat).top_share(truth) == pytest.approx(np.mean(hits), abs=5 * error + 2 / len(hits))


@quick
@given(tied, fields)
def test_the_pointing_game_is_the_mean_over_all_highest_pixels(values: np.ndarray, field: Field) -> None:
    mask, fov = field
    places = np.argwhere(mask)
    best = values[fov].max()
    highest = np.argwhere(fov & (values == best))
    hits = [np.sqrt(((places - p) ** 2).sum(1)).min() <= 2 for p in highest]
    assert pointing_hit(values, near(mask), fov) == pytest.approx(np.mean(hits))


@quick
@given(signed, fields)
def test_mass_is_a_share_on_signed_maps_too(values: np.ndarray, field: Field) -> None:
    mask, fov = field
    share = mass_share(values, mask, fov)
    assert 0 <= share <= 1
    positive = [max(float(v), 0.0) for v in values[fov]]
    on_mask = [max(float(v), 0.0) for v in values[mask]]
    expected = math.fsum(on_mask) / math.fsum(positive) if sum(positive) else mask.sum() / fov.sum()
    assert share == pytest.approx(expected, abs=1e-9)
    assert share + mass_share(values, fov & ~mask, fov) == pytest.approx(1) or mask.sum() == fov.sum()
    assert lift_of(values, mask, fov) == pytest.approx(share * fov.sum() / mask.sum())


@given(st.integers(0, 300))
@settings(max_examples=100, deadline=None)
def test_all_mass_on_the_mask_is_one_and_not_a_bit_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask, fov = rng.random((40, 50)) < 0.3, np.ones((40, 50), bool)
    values = np.where(mask, rng.random((40, 50)), -1).astype(np.float32)
    assert mass_share(values, mask, fov) <= 1
    assert mass_share(values, mask, fov) == pytest.approx(1, abs=1e-12)


def test_what_lies_outside_the_field_of_view_does_not_count(eye: Case) -> None:
    values = np.random.default_rng(2).random(eye.fov.shape)
    fov = eye.fov.numpy()
    other = np.where(fov, values, 1e9)
    for metric in (m for m in vars(overlap).values() if isinstance(m, overlap.Plugin)):
        assert metric(values, eye, green_scorer(eye), rng=RNG) == metric(other, eye, green_scorer(eye), rng=RNG)


def test_lift_by_hand(eye: Case) -> None:
    """Everything on half of the thin vessels: lift is the area of the field of view over that of the thin vessels."""
    thin, n = eye.thin.numpy(), int(eye.fov.sum())
    assert 0 < thin.sum() < eye.vessels.sum() < n
    values = np.zeros(thin.shape)
    values[np.nonzero(thin)[0][::2], np.nonzero(thin)[1][::2]] = 5.0
    assert overlap.lift_thin(values, eye, green_scorer(eye), rng=RNG).value == pytest.approx(n / thin.sum())
    assert overlap.lift_thick(values, eye, green_scorer(eye), rng=RNG).value == 0
    assert overlap.lift_vessels(values, eye, green_scorer(eye), rng=RNG).value == pytest.approx(
        n / int(eye.vessels.sum())
    )


def test_thin_vessels_are_held_against_pixels_without_any_vessel(eye: Case) -> None:
    """A map that shows all vessels alike is perfect for thin ones: thick ones are not held against it."""
    values = eye.vessels.float().numpy()
    assert overlap.auroc_thin(values, eye, green_scorer(eye), rng=RNG).value == 1
    assert overlap.auroc_thick(values, eye, green_scorer(eye), rng=RNG).value == 1


@pytest.mark.parametrize(("thin", "thick", "gap"), [(1.0, 1.0, 0.0), (1.0, 2.0, 1.0), (4.0, 1.0, -2.0)])
def test_thin_gap_by_hand(eye: Case, thin: float, thick: float, gap: float) -> None:
    values = thin * eye.thin.numpy() + thick * eye.thick.numpy() + 0.1 * (~eye.vessels).numpy()
    assert overlap.thin_gap(values, eye, green_scorer(eye), rng=RNG).value == pytest.approx(gap)


def test_an_infinite_gap_is_skipped(eye: Case) -> None:
    for part, map_ in (("thin", eye.thick), ("thick", eye.thin)):
        with pytest.raises(Skipped, match=f"on {part} vessels, so the gap is infinite"):
            overlap.thin_gap(map_.numpy(), eye, green_scorer(eye), rng=RNG)


def test_an_image_that_is_all_vessel_has_no_roc_area(eye: Case) -> None:
    full: Any = replace(eye, vessels=eye.fov, caliber=torch.where(eye.fov, 1.0, 0.0))
    with pytest.raises(Skipped, match="no field-of-view pixel without a vessel"):
        overlap.auroc_vessels(np.zeros(eye.fov.shape), full, green_scorer(eye), rng=RNG)


def test_the_farthest_pixel_is_the_worst_place_to_point_at(eye: Case) -> None:
    far = np.where(eye.fov, distance_transform_edt(~eye.vessels.numpy()), 0)
    assert overlap.pointing_vessels(far, eye, green_scorer(eye), rng=RNG).value == 0


@given(st.integers(0, 200), st.integers(5, 12), st.integers(5, 12))
@settings(max_examples=60, deadline=None)
def test_turned_masks_are_numpys_on_a_square_and_keep_their_size(seed: int, top: int, left: int) -> None:
    """A square field of view somewhere in a larger frame."""
    frame, side = (40, 30), 15
    fov = np.zeros(frame, bool)
    fov[top : top + side, left : left + side] = True
    mask = (np.random.default_rng(seed).random(frame) < 0.2) & fov
    square = mask[top : top + side, left : left + side]
    flipped = square[:, ::-1]
    every = [np.rot90(m, k) for m in (square, flipped) for k in range(4)][1:]
    found = [m[top : top + side, left : left + side] for m in turned(mask, fov)]
    assert {m.tobytes() for m in found} == {np.ascontiguousarray(m).tobytes() for m in every}
    assert all(m.sum() == mask.sum() and not (m & ~fov).any() for m in turned(mask, fov))


@pytest.mark.parametrize("radius", [0.8, 1.0, 1.5, 2.0, 2.5, 9.0])
def test_where_thin_ends_is_a_parameter(eye: Case, radius: float) -> None:
    values = np.random.default_rng(0).random(eye.fov.shape) + 0.1 * eye.caliber.numpy()
    caliber, fov, off = eye.caliber.numpy() / eye.scale, eye.fov.numpy(), eye.fov.numpy() & ~eye.vessels.numpy()
    thin, thick = (caliber > 0) & (caliber <= radius), caliber > radius
    asked_for = {"radius": radius, "rng": RNG}
    for part, mask, metric in (("thin", thin, overlap.auroc_thin), ("thick", thick, overlap.auroc_thick)):
        if mask.any():
            expected = area_under_roc(values[mask & fov], values[off])
            assert metric(values, eye, green_scorer(eye), **asked_for).value == pytest.approx(expected, abs=1e-12)
        else:
            with pytest.raises(Skipped, match=f"no {part} vessel"):
                metric(values, eye, green_scorer(eye), **asked_for)
    if thin.any() and thick.any():
        gap = math.log2(lift_of(values, thick, fov) / lift_of(values, thin, fov))
        assert overlap.thin_gap(values, eye, green_scorer(eye), **asked_for).value == pytest.approx(gap)


def test_a_radius_that_makes_no_sense_is_named(eye: Case) -> None:
    for metric in (overlap.thin_gap, overlap.lift_thick):
        with pytest.raises(UserError, match="radius=-1"):
            metric(np.ones(eye.fov.shape), eye, green_scorer(eye), rng=RNG, radius=-1)
    assert "radius" not in overlap.lift_vessels.parameters


def test_what_a_map_scores_by_chance_stands_beside_its_value(eye: Case) -> None:
    """The true vessels as a map: against turned vessels it is no better than these happen to overlap."""
    oracle = eye.vessels.float().numpy()
    score = overlap.lift_vessels(oracle, eye, green_scorer(eye), rng=RNG)
    fov = eye.fov.numpy()
    expected = [lift_of(oracle, m, fov) for m in turned(eye.vessels.numpy(), fov)]
    np.testing.assert_allclose(score.null, expected)
    assert len(score.null) == 7 and max(score.null) < score.value / 2
    constant = overlap.auroc_thin(np.ones_like(oracle), eye, green_scorer(eye), rng=RNG)
    assert constant.null == (0.5,) * 7
