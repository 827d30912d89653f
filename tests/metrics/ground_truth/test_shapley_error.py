"""The exact values of the game, and what maps that have or miss them are worth."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up import GreenFilter, PlainCNN, draw_eye, method_of, own_method, score_of_method, target_on, unsettle
from scipy.stats import wilcoxon
from torch import Tensor, nn

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.data.regions import spread
from xaibench.errors import Skipped, UserError
from xaibench.explainers.controls import random, vessels_oracle
from xaibench.explainers.gradient import integrated_gradients
from xaibench.explainers.lime import lime
from xaibench.explainers.perturbation import occlusion
from xaibench.explainers.shapley import kernel_shap, shapley_sampling
from xaibench.metrics.ground_truth import shapley_error as room
from xaibench.metrics.ground_truth.shapley_error import best_window, coalitions, shapley_error, shapley_values
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.scorer import Scorer
from xaibench.scorer.coalition_game import CoalitionGame

CASE = draw_phantom(1, (140, 150))
WINDOW = 48


def scorer_of(model: nn.Module, case: Case = CASE) -> Scorer:
    return Scorer(model.eval(), target_on(case))


class Additive(GreenFilter):
    """The logit of a pixel depends on the pixel alone; in double precision, since Shapley values are differences."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.double())


def additive() -> Additive:
    return Additive(0.45, 20.0)


def scored(method: Method, scorer: Scorer | None = None, case: Case = CASE, window: int = WINDOW) -> Score:
    return score_of_method(shapley_error, method, case, scorer or scorer_of(additive(), case), window=window)


def error(method: Method, scorer: Scorer | None = None, case: Case = CASE, window: int = WINDOW) -> float:
    return scored(method, scorer, case, window).value


def pixel_values(scorer: Scorer, image: Tensor, case: Case) -> Tensor:
    """Exact for the additive network: gain × how much darker than the reference, on the target."""
    reference = reference_image("blur", image, case.fov, case.scale)
    return 20 * (reference[1] - image[1]) * scorer.target.mask / scorer.target.mask.sum()


def tiles_of(height: int, width: int) -> np.ndarray:
    """Three rows of four, counted from the top left."""
    return np.add.outer(np.arange(height) * 3 // height * 4, np.arange(width) * 4 // width)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_exact_values_are_the_mean_gain_over_all_orders(players: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(2**players)
    orders = list(itertools.permutations(range(players)))
    expected = np.zeros(players)
    for order in orders:
        present = 0
        for player in order:
            expected[player] += values[present | 1 << player] - values[present]
            present |= 1 << player
    np.testing.assert_allclose(shapley_values(values), expected / len(orders), atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_the_axioms_hold_for_twelve_players(seed: int) -> None:
    rng = np.random.default_rng(seed)
    present = coalitions(12)
    assert len({row.tobytes() for row in present}) == 4096
    weights = rng.standard_normal(12)
    weights[3], weights[7] = 0, weights[2]  # 3 is a dummy, 2 and 7 are alike
    values = np.tanh(present @ weights) + (present @ weights) ** 2
    found = shapley_values(values)
    assert found[3] == pytest.approx(0, abs=1e-12)
    assert found[2] == pytest.approx(found[7], abs=1e-9)
    assert found.sum() == pytest.approx(values[-1] - values[0], abs=1e-9)
    other = rng.standard_normal(4096)
    np.testing.assert_allclose(shapley_values(values + 2 * other), found + 2 * shapley_values(other), atol=1e-9)


def test_on_an_additive_network_the_exact_pixels_have_no_error() -> None:
    scorer = scorer_of(additive())
    assert error(own_method(pixel_values), scorer) < 1e-5
    assert error(own_method(lambda *a: 7 * pixel_values(*a)), scorer) < 1e-5  # no scale is asked for
    assert error(own_method(lambda *a: -pixel_values(*a)), scorer) == 1
    assert error(method_of(integrated_gradients, steps=2), scorer) < 1e-5
    noise = torch.rand(WINDOW, WINDOW, generator=torch.Generator().manual_seed(0)) - 0.5
    assert 0.3 < error(own_method(lambda *_: noise), scorer) <= 1


def test_of_an_unsigned_method_the_size_of_the_values_is_asked() -> None:
    case = replace(CASE, image=CASE.image.clone())
    scorer = scorer_of(additive(), case)
    tiles: list[np.ndarray] = []

    def sums(s: Scorer, image: Tensor, case: Case) -> Tensor:
        values, labels = pixel_values(s, image, case).numpy(), tiles_of(*case.fov.shape)
        total = np.bincount(labels.ravel(), values.ravel(), 12)
        tiles.append(total)
        area = np.maximum(np.bincount(labels[case.fov.numpy()], minlength=12), 1)
        return torch.from_numpy((np.abs(total) / area)[labels])

    assert error(own_method(sums, signed=False), scorer, case) < 1e-5
    assert len(tiles) == 1 and (tiles[0] != 0).sum() > 6


def test_exact_values_of_a_real_network_agree_with_another_formula() -> None:
    """Owen's multilinear extension (1972): ∫ E[v(R ∪ i) - v(R)] dq, R the others at random, each with probability q."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        scorer = scorer_of(unsettle(PlainCNN(), 3))
    everywhere = replace(CASE, fov=torch.ones_like(CASE.fov))

    def exact(s: Scorer, image: Tensor, case: Case) -> Tensor:
        labels = tiles_of(24, 24)
        value = CoalitionGame(s, image, reference_image("blur", image, case.fov, case.scale), labels)
        present = coalitions(12)
        values, size = value(present), present.sum(1)
        nodes, weights = np.polynomial.legendre.leggauss(8)  # exact for polynomials of degree 11
        found = np.zeros(12)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            probability = node**size * (1 - node) ** (12 - size)
            for i in range(12):
                found[i] += weight * (
                    (probability * values)[present[:, i]].sum() / node
                    - (probability * values)[~present[:, i]].sum() / (1 - node)
                )
        return spread(found, labels, case.fov)

    assert error(own_method(exact), scorer, everywhere, window=24) < 1e-4


def test_the_exact_values_are_computed_once_for_all_methods_and_apart_for_each_reference() -> None:
    network, pictures = additive(), list[int]()
    network.register_forward_hook(lambda module, given, logits: pictures.append(len(given[0])))
    scorer = scorer_of(network)
    error(own_method(pixel_values), scorer)
    first = sum(pictures)
    assert first >= 4096
    error(own_method(lambda *a: pixel_values(*a) ** 2), scorer)
    assert sum(pictures) == first
    other = error(method_of(integrated_gradients, steps=1, baseline="mean"), scorer)
    assert sum(pictures) >= first + 4096 and other < 1e-5
    assert scorer.passes == 0


def test_a_sampling_method_has_a_curve_over_passes() -> None:
    scorer = scorer_of(additive())
    for method in (method_of(lime, samples=120, segments=12), method_of(shapley_sampling, permutations=8, segments=6)):
        score = scored(method, scorer)
        passes, errors = score.curve  # type: ignore[misc]
        assert len(passes) == 3 and list(passes) == sorted(set(passes)) and errors[-1] == score.value
    assert scored(method_of(occlusion, patch=8, stride=8), scorer).curve is None
    # With a quarter of these samples the regression is not determined, and the curve begins later.
    few = scored(method_of(kernel_shap, samples=60, segments=12), scorer)
    assert few.curve is not None and len(few.curve[0]) == 2


@pytest.mark.parametrize("level", [0.0, 1.0, -2.5])
def test_a_constant_map_is_worth_what_the_areas_are(level: float) -> None:
    case = replace(CASE, fov=torch.ones_like(CASE.fov))  # tiles of one size
    scorer = scorer_of(additive(), case)
    totals: list[np.ndarray] = []

    def look(s: Scorer, image: Tensor, case: Case) -> Tensor:
        values = pixel_values(s, image, case)
        totals.append(values.double().reshape(3, 16, 4, 12).sum((1, 3)).numpy().ravel())
        return values

    error(own_method(look), scorer, case)
    (phi,) = totals
    right_way = level * phi.sum() > 0
    expected = np.sqrt(1 - phi.sum() ** 2 / (12 * (phi @ phi))) if right_way else 1
    constant = error(own_method(lambda _s, image, _c: torch.full(image.shape[1:], level)), scorer, case)
    assert constant == pytest.approx(expected, abs=1e-6)


def test_what_lies_outside_the_field_of_view_does_not_count() -> None:
    fov = CASE.fov.clone()
    fov[:, :60] = False
    fov[best_window(CASE.vessels.numpy(), fov.numpy(), WINDOW)[0]] &= torch.arange(150) % 7 > 0  # some of each tile
    case = replace(CASE, fov=fov)
    outside = lambda s, image, c: torch.where(c.fov, pixel_values(s, image, c), 9e3)
    assert error(own_method(outside), case=case) < 1e-6


def test_the_window_is_the_square_with_the_most_vessels() -> None:
    vessels, fov = np.zeros((30, 40), bool), np.ones((30, 40), bool)
    vessels[12:17, 21:29] = vessels[2, 2] = True
    rows, columns = best_window(vessels, fov, 10)
    assert vessels[rows, columns].sum() == 40
    assert (rows.stop - rows.start, columns.stop - columns.start) == (10, 10)
    assert best_window(vessels, fov, 99) == (slice(0, 30), slice(0, 40))
    disc = np.hypot(*(np.mgrid[:30, :40] - np.array([15, 20])[:, None, None])) < 12
    rows, columns = best_window(np.zeros_like(disc), disc, 10)  # without vessels, where the eye is
    assert disc[rows, columns].all()


def test_the_method_is_given_the_window_with_all_that_is_known_of_it() -> None:
    seen: list[tuple[Scorer, Case]] = []

    def look(scorer: Scorer, image: Tensor, case: Case) -> Tensor:
        assert torch.equal(image, case.image)
        seen.append((scorer, case))
        return pixel_values(scorer, image, case)

    case = replace(CASE, observer2=CASE.vessels.roll(1, 0))
    scorer = scorer_of(additive(), case)
    error(own_method(look), scorer, case)
    ((inner, part),) = seen
    window = best_window(case.vessels.numpy(), case.fov.numpy(), WINDOW)
    assert inner.model is scorer.model and part.scale == case.scale
    for name in ("vessels", "fov", "caliber", "observer2", "thin"):
        assert torch.equal(getattr(part, name), getattr(case, name)[window])
    assert torch.equal(part.image, case.image[:, *window])
    assert torch.equal(inner.target.mask, (part.image[1] <= 0.45) & part.fov)


def test_what_cannot_be_had_is_said() -> None:
    with pytest.raises(UserError, match="window=3 is too few"):
        error(own_method(pixel_values), window=3)
    with pytest.raises(Skipped, match=r"finds no vessel in the window of 48 × 48 px"):
        error(own_method(pixel_values), scorer_of(GreenFilter(-1.0, 20.0)))
    with pytest.raises(Skipped, match="cannot explain the window: patch=100 is larger"):
        error(method_of(occlusion, patch=100))
    flat = replace(CASE, image=torch.full_like(CASE.image, 0.3))
    with pytest.raises(Skipped, match=r"hiding the tiles of the window \(blur\) changes the score by nothing"):
        error(own_method(pixel_values), scorer_of(additive(), flat), flat)

    class Whole(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images[:, :1] * torch.ones(140, 150)

    with pytest.raises(Skipped, match="the network cannot take a window of 48 × 48 px"):
        error(own_method(pixel_values), scorer_of(Whole()))


@given(st.integers(0, 2**32 - 1))
def test_the_error_is_that_of_the_best_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums, truth = rng.standard_normal((2, 12))
    scales = np.linspace(0, 5, 2001)
    tried = np.linalg.norm(scales[:, None] * sums - truth, axis=1).min() / np.linalg.norm(truth)
    assert room.relative_error(sums, truth) == pytest.approx(tried, abs=1e-3)
    assert room.relative_error(np.zeros(12), truth) == 1
    assert room.relative_error(1e-40 * truth, truth) == pytest.approx(0, abs=1e-7)


def test_over_eyes_the_oracle_is_better_than_noise() -> None:
    eyes = [draw_eye(image_seed=seed) for seed in range(10)]
    scorers = [scorer_of(GreenFilter(0.4, 8.0), eye) for eye in eyes]
    best, noise = (
        [error(method_of(m), s, c, window=32) for c, s in zip(eyes, scorers, strict=True)]
        for m in (vessels_oracle, random)
    )
    assert wilcoxon(best, noise, alternative="less").pvalue < 0.01
