"""False positives drawn where they are wanted, and what they are compared with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import find_objects, label

from xaibench.data.case import Case, make_case
from xaibench.errors import Skipped
from xaibench.metrics.localisation import false_positives as room
from xaibench.metrics.localisation.false_positives import compare, false_positives, fp_lift
from xaibench.scorer import Scorer, Target

SIZE = 120
Y, X = np.mgrid[:SIZE, :SIZE]
RNG = np.random.default_rng(0)


def eye() -> Case:
    """A labelled vessel, and below it two dark lines that are none."""
    image = np.random.default_rng(1).normal(0.6, 0.02, (SIZE, SIZE))
    vessels = np.zeros((SIZE, SIZE), bool)
    vessels[20:23, 20:100] = True
    for rows in (slice(20, 23), slice(60, 63), slice(90, 93)):
        image[rows, 20:100] -= 0.2
    fov = np.hypot(Y - 59.5, X - 59.5) <= 58
    return make_case("eye", np.stack([np.clip(image, 0, 1)] * 3), vessels, fov, scale=1.0)


CASE = eye()
PREDICTION = np.where(CASE.vessels.numpy(), 1.0, 0.0).astype(np.float32)
PREDICTION[60:63, 20:100] = 0.5  # one of the two lines is taken for a vessel


def scorer_with(prediction: np.ndarray) -> Scorer:
    """No pass is needed."""
    return Scorer(torch.nn.Identity(), Target("vessels", CASE.vessels, CASE.fov, torch.from_numpy(prediction)))


def lift(map_: np.ndarray, prediction: np.ndarray = PREDICTION) -> float:
    return float(fp_lift(np.asarray(map_, np.float32), CASE, scorer_with(prediction), rng=RNG).value)


def test_a_component_is_predicted_beyond_the_rim_and_large_enough() -> None:
    p = PREDICTION.copy()
    p[23:25, 20:100] = 1  # the rim of the labelled vessel
    p[25:27, 40:42] = 1  # 4 px beyond it, attached
    p[80, 50:53] = 1  # 3 px
    p[80, 70:74] = 0.49  # not predicted
    p[0, 0:9] = 1  # outside the field of view
    found = false_positives(CASE, p)
    assert len(found) == 2
    assert (found.labels[25:27, 40:42] >= 0).all() and (found.labels[60:63, 25:95] >= 0).all()
    assert (found.labels >= 0).sum() == 4 + 240


def test_diagonal_neighbours_are_one_component() -> None:
    p = PREDICTION * 0
    p[np.arange(70, 76), np.arange(50, 56)] = 1
    assert len(false_positives(CASE, p)) == 1


def test_true_negatives_are_far_from_all_that_is_labelled_or_predicted() -> None:
    found = false_positives(CASE, PREDICTION)
    assert not found.negatives[18:25, 20:100].any() and not found.negatives[58:65, 20:100].any()
    assert found.negatives[66, 60] and found.negatives[90, 60] and not found.negatives[~CASE.fov.numpy()].any()


def test_distances_and_areas_follow_the_scale() -> None:
    p = np.where(CASE.vessels.numpy(), 1.0, 0.0)
    p[26, 40:50] = 1  # 4 px off, 10 px large
    assert [len(false_positives(replace(CASE, scale=s), p)) for s in (1.0, 1.5, 2.0)] == [1, 1, 0]
    p[27, 40:50] = 1
    assert len(false_positives(replace(CASE, scale=2.0), p)) == 0  # 10 px of it are beyond the rim, 16 are needed
    p[28, 40:50] = 1
    assert len(false_positives(replace(CASE, scale=2.0), p)) == 1


def test_without_any_label_all_that_is_predicted_is_false() -> None:
    none = replace(CASE, vessels=torch.zeros_like(CASE.vessels))
    found = false_positives(none, PREDICTION)
    assert len(found) == 2 and (found.labels >= 0).sum() == 480
    assert false_positives(none, PREDICTION * 0).negatives.sum() == CASE.fov.sum()


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -2.0])
def test_a_map_that_says_nothing_scores_exactly_one(value: float) -> None:
    assert lift(np.full((SIZE, SIZE), value)) == 1


def test_a_map_of_vesselness_says_no_more_than_vesselness() -> None:
    found = false_positives(CASE, PREDICTION)
    raw = found.vesselness[found.labels >= 0].mean() / found.vesselness[found.negatives].mean()
    assert raw > 5  # which is why it is matched
    assert lift(found.vesselness) == pytest.approx(1, abs=0.05)
    assert lift(np.sqrt(found.vesselness)) == pytest.approx(1, abs=0.05)


def test_a_map_of_the_errors_is_far_above_one_and_one_of_the_rest_is_zero() -> None:
    wrong = false_positives(CASE, PREDICTION).labels >= 0
    assert lift(wrong + 0.01) == pytest.approx(101, rel=1e-5)
    assert lift(~wrong) == 0
    with pytest.raises(Skipped, match="no positive attribution"):
        lift(wrong)


def test_without_false_positives_or_a_match_there_is_no_lift() -> None:
    with pytest.raises(Skipped, match="no false-positive component"):
        lift(np.ones((SIZE, SIZE)), np.where(CASE.vessels.numpy(), 1.0, 0.0))
    with pytest.raises(Skipped, match="matched"):
        lift(np.ones((SIZE, SIZE)), np.ones((SIZE, SIZE), np.float32))  # no true negative is left
    with pytest.raises(Skipped, match="no labels"):
        fp_lift(np.ones((SIZE, SIZE)), replace(CASE, labelled=False), scorer_with(PREDICTION), rng=RNG)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.02, 0.5), rounded=st.booleans())
def test_weights_give_both_the_same_distribution(seed: int, share: float, rounded: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=(40, 40))
    values = np.round(values, 1) if rounded else values
    one = rng.random(values.shape) < share
    other = ~one & (rng.random(values.shape) < 0.8)
    a, b = room.matched_weights(values, one, other)
    assert a.sum() == pytest.approx(b.sum()) and (a >= 0).all() and (b >= 0).all()
    assert not a[~one].any() and not b[~other].any()
    if a.any():
        assert a.sum() >= one.sum() / 2
        # Within a twentieth, the cumulative distributions are the same everywhere.
        for v in np.quantile(values, np.linspace(0, 1, 30)):
            below = values <= v
            assert abs(a[below].sum() / a.sum() - b[below].sum() / b.sum()) <= 0.05 + 1.5 / a.sum() + 1e-9


def test_the_table_says_where_and_how_large_and_how_vessel_like() -> None:
    found = false_positives(CASE, PREDICTION)
    table = compare(found, CASE.fov.numpy(), rng=np.random.default_rng(0))
    assert (table.pixels.tolist(), table.y.tolist()) == ([240], [61]) and table.x[0] in (59, 60)
    assert table.vesselness[0] == pytest.approx(found.vesselness[60:63, 20:100].mean(), rel=1e-5)


def drawn(shape: np.ndarray, vesselness: np.ndarray, near: int = 4) -> room.FalsePositives:
    labels = np.where(shape, 0, -1)
    around = np.zeros(shape.shape, bool)
    y, x = np.nonzero(shape)
    around[y.min() - near : y.max() + near, x.min() - near : x.max() + near] = True
    return room.FalsePositives(labels, ~around & CASE.fov.numpy(), vesselness.astype(np.float32))


BAR = (np.abs(Y - 40) < 2) & (np.abs(X - 60) < 6)
BAR[42, 64] = True  # unlike all its turned and mirrored forms


def test_an_error_that_looks_like_nothing_else_stands_at_the_top() -> None:
    noise = np.random.default_rng(2).random((SIZE, SIZE))
    fov = CASE.fov.numpy()
    bright, dim, alike = (
        compare(drawn(BAR, map_), fov, rng=np.random.default_rng(0))
        for map_ in (noise + BAR, noise * ~BAR, np.ones((SIZE, SIZE)))
    )
    assert bright.percentile[0] == 1 and dim.percentile[0] == 0 and alike.percentile[0] == 0.5
    assert bright.matched[0] == pytest.approx(0.5, abs=0.03) and alike.matched[0] == 1
    # What is as everywhere stands anywhere.
    rngs = map(np.random.default_rng, range(40))
    percentiles = [compare(drawn(BAR, rng.random((SIZE, SIZE))), fov, rng=rng).percentile[0] for rng in rngs]
    assert np.mean(percentiles) == pytest.approx(0.5, abs=0.15) and np.std(percentiles) > 0.15


def test_a_placement_is_the_same_shape_among_true_negatives_as_far_from_the_centre() -> None:
    found, fov = drawn(BAR, np.ones((SIZE, SIZE))), CASE.fov.numpy()
    pixels = np.argwhere(BAR)
    middle = np.array([40, 60])
    places = room._placements(pixels, middle, found, fov, np.random.default_rng(0))
    assert places.shape == (50, BAR.sum(), 2)
    forms = {m.tobytes() for k in range(4) for m in (np.rot90(crop(BAR), k).copy(), np.rot90(crop(BAR).T, k).copy())}
    assert len(forms) == 8
    seen = set()
    for place in places:
        mask = np.zeros_like(BAR)
        mask[tuple(place.T)] = True
        assert mask.sum() == BAR.sum() and found.negatives[mask].all() and label(mask)[1] == 1
        seen.add(crop(mask).tobytes())
        anchor = place[(pixels == middle).all(1)][0]
        assert abs(np.hypot(*(anchor - 59.5)) - np.hypot(*(middle - 59.5))) <= 0.1 * 58.5 + 1e-9
    assert seen == forms


def crop(mask: np.ndarray) -> np.ndarray:
    return mask[find_objects(mask.astype(int))[0]].copy()


def test_where_it_fits_in_nowhere_there_is_no_match() -> None:
    found = replace(drawn(BAR, np.ones((SIZE, SIZE))), negatives=np.zeros((SIZE, SIZE), bool))
    table = compare(found, CASE.fov.numpy(), rng=np.random.default_rng(0))
    assert np.isnan(table.matched[0]) and np.isnan(table.percentile[0]) and table.vesselness[0] == 1


def test_no_components_make_an_empty_table() -> None:
    found = false_positives(CASE, np.zeros((SIZE, SIZE)))
    table = compare(found, CASE.fov.numpy(), rng=np.random.default_rng(0))
    assert len(found) == 0 and table.pixels.shape == table.matched.shape == (0,)
    assert found.mean(found.vesselness).shape == (0,)
