import math
from dataclasses import replace
from itertools import pairwise
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_up import GreenFilter, green_scorer, rng

from xaibench.conformance.metric_subjects import method
from xaibench.data.case import Case, make_case
from xaibench.errors import Skipped, UserError
from xaibench.imputation.fills import FILLS, prepare_fill
from xaibench.metrics.faithfulness import pixel_flipping as room
from xaibench.metrics.faithfulness.curve_metrics import deletion, dice_deletion, insertion, srg, srg_thick, srg_thin
from xaibench.metrics.faithfulness.irof import irof
from xaibench.metrics.faithfulness.pixel_flipping import area, fractions, removal_of, removal_orders, soft_dice
from xaibench.metrics.method import scorer_about
from xaibench.registry import Plugin
from xaibench.scorer import Scorer, target

FRACTIONS = fractions()
SIDE = 64
PIXELS = SIDE * SIDE
WIDTH_OF_TARGET = round(FRACTIONS[8] * PIXELS)  # so that the kinks of the closed forms fall on a step


def flat_case(target: np.ndarray) -> Case:
    """Green .2 on the target and .6 off it, and the field of view is everything."""
    image = np.where(target, 0.2, 0.6).astype(np.float32) * np.ones((3, 1, 1), np.float32)
    return make_case("flat", image, target, np.ones((SIDE, SIDE), bool), scale=1.0)


TARGET = (np.arange(PIXELS).reshape(SIDE, SIDE) * 7919 % PIXELS) < WIDTH_OF_TARGET  # scattered
FLAT = flat_case(TARGET)
ALPHA = WIDTH_OF_TARGET / PIXELS


def probabilities(case: Case, fill: str) -> list[np.ndarray]:
    """(H, W) of a white box, in the whole image and in the emptied one: each pixel has that of its own green."""
    filler = room.seeded_fill(case, fill, int(rng().integers(2**63)))
    pictures = case.image.numpy(), filler(case.fov.numpy())
    return [1 / (1 + np.exp(-8.0 * (0.4 - picture[1].astype(np.float64)))) for picture in pictures]


def by_hand(order: np.ndarray, case: Case, mask: np.ndarray, fill: str) -> np.ndarray:
    """The normalised curve at every single pixel removed, for a white box: no network, no steps, no batches.

    Each pixel of the target counts with the probability of its own green, before and after it is replaced.
    """
    before, after = probabilities(case, fill)
    loss = np.where(mask, before - after, 0).ravel()[order]
    return 1 - np.concatenate([[0], np.cumsum(loss)]) / loss.sum()


def test_the_steps_are_dense_at_both_ends_and_keep_them() -> None:
    assert len(FRACTIONS) == 21 and FRACTIONS[0] == 0 and FRACTIONS[-1] == 1
    np.testing.assert_allclose(FRACTIONS, [math.sin(math.pi * k / 40) ** 2 for k in range(21)], atol=1e-15)
    np.testing.assert_allclose(FRACTIONS + FRACTIONS[::-1], 1, atol=1e-15)  # so that insertion is deletion from its end
    assert FRACTIONS[1] < 0.01


@pytest.mark.parametrize("fill", ["zero", "mean", "blur"])
@pytest.mark.parametrize("oracle", [True, False])
def test_closed_forms_of_the_oracle_and_its_inverse(fill: str, oracle: bool) -> None:
    """A target of the share α, where each pixel counts alike: deletion α/2, insertion 1 − α/2, gain ±(1 − α)."""
    map_, scorer = (TARGET if oracle else ~TARGET).astype(np.float32), green_scorer(FLAT)
    scores = {m.name: m(map_, FLAT, scorer, rng=rng(), fill=fill).value for m in (deletion, insertion, srg)}
    best, worst = ALPHA / 2, 1 - ALPHA / 2
    tolerance = 1e-3 if fill == "zero" else 0.02
    assert scores["deletion"] == pytest.approx(best if oracle else worst, abs=tolerance)
    assert scores["insertion"] == pytest.approx(worst if oracle else best, abs=tolerance)
    assert scores["srg"] == pytest.approx((1 - ALPHA) * (1 if oracle else -1), abs=2 * tolerance)


def test_the_gain_of_a_small_target_that_alone_is_read_is_near_one() -> None:
    blob = np.zeros((SIDE, SIDE), bool)
    blob[30:34, 20:25] = True
    case = flat_case(blob)
    for fill in ("inpaint", "mean", "blur"):
        assert srg(blob.astype(np.float32), case, green_scorer(case), rng=rng(), fill=fill).value > 0.98
        assert srg(1 - blob.astype(np.float32), case, green_scorer(case), rng=rng(), fill=fill).value < -0.95


@pytest.mark.parametrize("fill", ["zero", "mean", "blur"])
def test_curves_are_those_counted_pixel_by_pixel(eye: Case, fill: str) -> None:
    map_ = (np.random.default_rng(0).random(eye.fov.shape) + 0.5 * eye.vessels.numpy()).astype(np.float32)
    curves = removal_of(eye, green_scorer(eye), fill, rng()).curves(map_)
    n = int(eye.fov.sum())
    steps = np.round(FRACTIONS * n).astype(int)
    pixels = np.flatnonzero(eye.fov.numpy())
    most = pixels[np.argsort(-map_.ravel()[pixels], kind="stable")]  # no two are equal
    fine = [by_hand(order, eye, eye.vessels.numpy(), fill) for order in (most, most[::-1])]
    np.testing.assert_allclose(curves.most_first, fine[0][steps], atol=1e-4)
    np.testing.assert_allclose(curves.least_first, fine[1][steps], atol=1e-4)
    assert curves.most_first[0] == 1 and curves.most_first[-1] == 0  # both endpoints
    # The area does not depend on the number of steps, up to discretisation: n steps give what 20 give.
    for curve, exact in zip((curves.most_first, curves.least_first), fine, strict=True):
        assert area(curve, FRACTIONS) == pytest.approx(np.trapezoid(exact, np.arange(n + 1) / n), abs=0.01)


@pytest.mark.parametrize("fill", FILLS)
def test_what_the_three_metrics_have_to_do_with_each_other(eye: Case, fill: str) -> None:
    map_ = (np.random.default_rng(0).random(eye.fov.shape) + 0.2 * eye.vessels.numpy()).astype(np.float32)
    scorer = green_scorer(eye)
    curves = removal_of(eye, scorer, fill, rng()).curves(map_)
    values = {m.name: m(map_, eye, scorer, rng=rng(), fill=fill) for m in (deletion, insertion, srg)}
    assert values["insertion"].curve[1] == tuple(curves.least_first[::-1])  # read backwards
    assert values["insertion"].curve[1][0] == 0 and values["insertion"].curve[1][-1] == 1
    assert values["deletion"].curve[1] == tuple(curves.most_first)
    assert values["srg"].value == pytest.approx(values["insertion"].value - values["deletion"].value, abs=1e-12)
    assert values["srg"].value > 0.05


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
def test_a_constant_map_gains_exactly_nothing(eye: Case, fill: str, value: float) -> None:
    map_, scorer = np.full(eye.fov.shape, value, np.float32), green_scorer(eye)
    assert srg(map_, eye, scorer, rng=rng(), fill=fill).value == 0
    scores = [m(map_, eye, scorer, rng=rng(), fill=fill).value for m in (deletion, insertion)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-12)


def test_a_constant_map_is_chance_on_average() -> None:
    """Removal at random: the curve of a white box is 1 − q, whose area is ½."""
    values = [
        deletion(np.zeros((SIDE, SIDE)), FLAT, green_scorer(FLAT), rng=np.random.default_rng(seed), fill="zero").value
        for seed in range(30)
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=0.005)
    assert 0 < np.std(values) < 0.03  # each seed shuffles anew


def test_massive_ties_do_not_collapse_the_curve() -> None:
    """A map that is zero but for a tenth of the target: what is tied goes step by step, not all at once."""
    few = TARGET & (np.random.default_rng(0).random(TARGET.shape) < 0.1)
    curves = removal_of(FLAT, green_scorer(FLAT), "zero", rng()).curves(few.astype(np.float32))
    share = few.sum() / TARGET.sum()
    expected = (1 - share) * np.clip((1 - FRACTIONS) / (1 - few.sum() / PIXELS), 0, 1)
    np.testing.assert_allclose(curves.most_first[3:], expected[3:], atol=0.03)
    assert np.unique(curves.most_first).size == len(FRACTIONS)


@given(hnp.arrays(np.float32, (6, 8), elements=st.sampled_from([-1.0, 0.0, 0.0, 2.0])), hnp.arrays(bool, (6, 8)))
@settings(max_examples=60, deadline=None)
def test_removal_orders(values: np.ndarray, fov: np.ndarray) -> None:
    n = int(fov.sum())
    shuffle = np.random.default_rng(0).permutation(n)
    most, least = removal_orders(values, fov, shuffle)
    for order in (most, least):
        assert sorted(order) == np.flatnonzero(fov).tolist()  # each pixel of the field of view once, no other
    assert (np.diff(values.ravel()[most]) <= 0).all() and (np.diff(values.ravel()[least]) >= 0).all()
    rank = {int(p): i for i, p in enumerate(np.flatnonzero(fov)[shuffle])}
    for order in (most, least):  # ties stand in the order of the shuffle
        for a, b in pairwise(order):
            assert values.ravel()[a] != values.ravel()[b] or rank[int(a)] < rank[int(b)]


def test_everything_is_computed_once_for_all_three(eye: Case) -> None:
    scorer, map_ = green_scorer(eye), eye.vessels.float().numpy()
    deletion(map_, eye, scorer, rng=rng(), fill="mean")
    first = scorer.passes
    assert first == 2 + 2 * (len(FRACTIONS) - 2)  # the two ends, and the steps between them in both directions
    insertion(map_, eye, scorer, rng=rng(), fill="mean")
    srg(map_, eye, scorer, rng=rng(), fill="mean")
    assert scorer.passes == first
    srg(1 - map_, eye, scorer, rng=rng(), fill="mean")
    assert scorer.passes == first + 2 * (len(FRACTIONS) - 2)  # the ends are those of any map


def test_the_fill_is_the_same_for_all_maps(eye: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Mock(wraps=prepare_fill)
    monkeypatch.setattr(room, "prepare_fill", made)
    scorer = green_scorer(eye)
    for map_ in (eye.vessels.float().numpy(), np.zeros(eye.fov.shape)):
        srg(map_, eye, scorer, rng=rng(), fill="inpaint")
        srg(map_, eye, scorer, rng=rng(), fill="blur")
    assert [call.args[0] for call in made.call_args_list] == ["inpaint", "blur"]


def test_another_map_is_never_taken_for_this_one(eye: Case) -> None:
    scorer, map_ = green_scorer(eye), eye.vessels.float().numpy()
    alone = srg(1 - map_, eye, green_scorer(eye), rng=rng(), fill="mean")
    srg(map_, eye, scorer, rng=rng(), fill="mean")
    assert srg(1 - map_, eye, scorer, rng=rng(), fill="mean") == alone


def test_nothing_to_lose_is_skipped(eye: Case) -> None:
    grey = replace(eye, image=torch.full_like(eye.image, 0.5))
    with pytest.raises(Skipped, match=r"removing everything \(mean\) changes the target's probability by less than"):
        srg(eye.vessels.numpy(), grey, green_scorer(grey), rng=rng(), fill="mean")


def test_an_unknown_fill_is_told_with_the_known_ones(eye: Case) -> None:
    with pytest.raises(UserError, match="no fill called 'noise'"):
        srg(eye.vessels.numpy(), eye, green_scorer(eye), rng=rng(), fill="noise")


def test_removal_that_makes_the_network_surer_has_a_curve_too(eye: Case) -> None:
    """s_end above s_0: the curve still goes from 1 to 0, and the order of good and bad maps is the same."""
    scorer, oracle = green_scorer(eye), eye.vessels.float().numpy()  # black pixels look like vessels to it
    curves = removal_of(eye, scorer, "zero", rng()).curves(oracle)
    assert curves.most_first[0] == 1 and curves.most_first[-1] == 0
    assert srg(oracle, eye, scorer, rng=rng(), fill="zero").value > 0.8


def test_soft_dice() -> None:
    p = torch.tensor([1.0, 0.5, 0.0])
    assert soft_dice(p, p) == 1 and soft_dice(torch.zeros(3), torch.zeros(3)) == 1
    assert soft_dice(p, torch.tensor([0.0, 0.0, 1.0])) == 0
    assert soft_dice(p, torch.ones(3)) == pytest.approx(2 * 1.5 / (1.25 + 3))


def test_dice_deletion_is_the_dice_of_each_picture(eye: Case) -> None:
    """Of a white box: each removed pixel takes the fill's probability, all others keep theirs."""
    map_, scorer = eye.vessels.float().numpy(), green_scorer(eye)
    score = dice_deletion(map_, eye, scorer, rng=rng(), fill="mean")
    fov, seed = eye.fov.numpy(), int(rng().integers(2**63))
    shuffle = np.random.default_rng([seed, 1]).permutation(int(fov.sum()))
    order, _ = removal_orders(map_, fov, shuffle)
    whole, emptied = (probability.ravel() for probability in probabilities(eye, "mean"))
    dice = []
    for fraction in FRACTIONS:
        now = whole.copy()
        gone = order[: round(fraction * len(order))]
        now[gone] = emptied[gone]
        p, q = whole[fov.ravel()], now[fov.ravel()]
        dice.append(2 * (p @ q) / (p @ p + q @ q))
    expected = (np.array(dice) - dice[-1]) / (1 - dice[-1])
    np.testing.assert_allclose(score.curve[1], expected, atol=1e-4)
    assert score.value == pytest.approx(np.trapezoid(expected, FRACTIONS), abs=1e-4)


def test_irof_is_the_area_over_the_curve_of_whole_segments(eye: Case) -> None:
    """With the true vessels as the map, the segments with most vessel go first, and the score falls at once."""
    oracle, scorer = eye.vessels.float().numpy(), green_scorer(eye)
    good, bad, none = (
        irof(m, eye, scorer, rng=rng(), segments=60).value for m in (oracle, 1 - oracle, np.zeros_like(oracle))
    )
    assert good > none > bad and good > 0.7
    assert none == irof(np.ones_like(oracle), eye, scorer, rng=rng(), segments=60).value


@pytest.mark.parametrize(("metric", "part"), [(srg_thin, "thin"), (srg_thick, "thick")])
@pytest.mark.parametrize("asked_about", ["vessels", "thin", "thick"])
def test_srg_of_a_part_is_that_of_the_map_for_it(eye: Case, metric: Plugin, part: str, asked_about: str) -> None:
    """Whatever the run is about, and whatever map it has or has not."""
    model, by = GreenFilter(0.4, 8.0), method("saliency")
    about = Scorer(model, target(part, model, eye))
    expected = srg(by(about, eye), eye, about, rng=rng(), fill="blur").value
    scorer = Scorer(model, target(asked_about, model, eye))
    found = metric(np.zeros(eye.fov.shape, np.float32), eye, scorer, rng=rng(), method=by, fill="blur").value
    assert found == expected and found > 0.3


@pytest.mark.parametrize("fill", ["inpaint", "blur"])
def test_one_map_for_several_targets_is_removed_once(eye: Case, fill: str) -> None:
    """What the network sees of a picture is read for all targets; bit for bit what each has by itself."""
    left = torch.arange(eye.fov.shape[1]) < eye.fov.shape[1] // 2
    map_ = np.random.default_rng(5).random(tuple(eye.fov.shape)).astype(np.float32)
    masks = eye.vessels & left, eye.vessels & ~left
    alone = [removal_of(eye, green_scorer(eye, mask), fill, rng()).curves(map_, 10) for mask in masks]
    first = green_scorer(eye, masks[0])
    second = first.for_target(green_scorer(eye, masks[1]).target)
    removal_of(eye, first, fill, rng()).curves(map_, 20)
    paid = first.passes
    found = removal_of(eye, second, fill, rng()).curves(map_, 10), removal_of(eye, first, fill, rng()).curves(map_, 10)
    assert second.passes == 0 and first.passes == paid and paid >= 39
    assert all(len(curves.fractions) == len(curves.most_first) == 11 for curves in found)
    for ours, theirs in zip(found, (alone[1], alone[0]), strict=True):
        for name in ("most_first", "least_first", "dice"):
            assert ours.dice is not None and np.array_equal(getattr(ours, name), getattr(theirs, name))
    assert not np.array_equal(found[0].most_first, found[1].most_first)
    other = removal_of(eye, second, fill, rng()).curves(map_[::-1].copy(), 10)
    assert second.passes == 18 and not np.array_equal(other.most_first, found[0].most_first)


def test_another_target_of_a_case_needs_no_second_prediction(eye: Case) -> None:
    seen: list[int] = []
    network = GreenFilter(0.4, 8.0)
    network.register_forward_hook(lambda module, given, logits: seen.append(len(given[0])))
    scorer = Scorer(network, target("vessels", network, eye))
    thin = scorer_about(scorer, eye, "thin")
    assert seen == [1] and torch.equal(thin.target.mask, target("thin", network, eye).mask)
