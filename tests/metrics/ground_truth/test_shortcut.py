from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import draw_eye, make_network, own_method, score_of_method, target_on
from torch import Tensor

from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.data.regions import busiest_window
from xaibench.errors import Skipped, UserError
from xaibench.metrics.ground_truth import shortcut as module
from xaibench.metrics.ground_truth.shortcut import Planted, plant, shortcut
from xaibench.models.evaluate import predict
from xaibench.models.networks.shortcut_network import SIDE, WINDOW, load_shortcut
from xaibench.scorer import Scorer

CASE = draw_phantom(0, (150, 140))
CPU = torch.device("cpu")
Map = Callable[[Scorer, Case], Tensor]


def score(make: Map, case: Case = CASE, scorer: Scorer | None = None, **parameters: int) -> float:
    method = own_method(lambda scorer, _image, case: make(scorer, case), signed=False)
    scorer = scorer or Scorer(load_shortcut(), target_on(case))
    return score_of_method(shortcut, method, case, scorer, **parameters).value


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(CASE, WINDOW, CPU)


def oracle(scorer: Scorer, case: Case) -> Tensor:
    return case.vessels.float()


def test_what_is_handed_over_is_the_marked_window_whose_truth_is_the_marker(planted: Planted) -> None:
    cut = (..., *busiest_window(CASE.thin.numpy(), WINDOW))
    case, marker = planted.case, planted.case.vessels
    assert int(marker.sum()) == SIDE**2
    assert torch.equal(case.fov, CASE.fov[cut]) and not (marker & ~case.fov).any()
    assert not (marker & CASE.vessels[cut]).any()
    assert torch.equal(case.image[:, ~marker], CASE.image[cut][:, ~marker])
    assert (case.image[2, marker] > case.image[0, marker] + 0.5).all()  # blue


def test_the_target_is_what_removing_the_marker_takes_away(planted: Planted) -> None:
    without = CASE.image[..., *busiest_window(CASE.thin.numpy(), WINDOW)]
    target, model = planted.scorer.target, load_shortcut()
    assert int(target.mask.sum()) >= 20 and not (target.mask & planted.case.vessels).any()
    assert (predict(model, planted.case.image)[target.mask] >= 0.5).all()
    assert (predict(model, without)[target.mask] < 0.5).all()
    both = torch.stack([planted.case.image, without])
    with_marker, without_marker = planted.scorer(both).tolist()
    assert with_marker > 0 > without_marker


def test_the_oracle_has_the_best_value_there_is(planted: Planted) -> None:
    assert score(oracle) == pytest.approx(int(planted.case.fov.sum()) / SIDE**2)
    assert score(lambda s, c: 1 - c.vessels.float()) == 0


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -2.5])
def test_a_constant_map_is_exactly_chance(value: float) -> None:
    assert score(lambda s, c: torch.full(c.fov.shape, value)) == 1


def test_only_the_positive_part_in_the_field_of_view_counts_and_only_its_ratios() -> None:
    """Half of the positive attribution on the marker is half the best value, whatever is negative or outside."""

    def half(scorer: Scorer, case: Case) -> Tensor:
        outside = case.fov & ~case.vessels
        map_ = case.vessels.float() / case.vessels.sum() + outside.float() / outside.sum()
        return torch.where(case.fov, map_, torch.tensor(5.0))

    best = score(oracle)
    assert score(half) == pytest.approx(best / 2)
    assert score(lambda s, c: 3 * half(s, c)) == pytest.approx(best / 2)
    assert score(lambda s, c: torch.where(c.fov & ~c.vessels, -3.0, c.vessels.float())) == pytest.approx(best)


def test_noise_is_chance_on_average() -> None:
    scorer = Scorer(load_shortcut(), target_on(CASE))
    rng = np.random.default_rng(1)
    values = [score(lambda s, c: torch.from_numpy(rng.random(tuple(c.fov.shape))), scorer=scorer) for _ in range(60)]
    assert np.mean(values) == pytest.approx(1, abs=5 * np.std(values) / np.sqrt(60))


def test_a_method_that_reads_the_network_finds_the_marker() -> None:
    """Input × gradient, summed over a path from the picture without the marker, is all on the marker."""
    start = CASE.image[..., *busiest_window(CASE.thin.numpy(), WINDOW)]

    def path(scorer: Scorer, case: Case) -> Tensor:
        total = torch.zeros_like(start)
        for t in (0.125, 0.375, 0.625, 0.875):
            image = (start + t * (case.image - start))[None].requires_grad_()
            scorer(image).sum().backward()
            assert image.grad is not None
            total += image.grad[0] * (case.image - start) / 4
        return total.sum(0)

    assert score(path) == pytest.approx(score(oracle))


def test_methods_of_one_case_share_the_picture_the_target_and_nothing_of_another_window() -> None:
    scorer, seen = Scorer(load_shortcut(), target_on(CASE)), list[Scorer]()

    def watch(other: Scorer, case: Case) -> Tensor:
        seen.append(other)
        return case.vessels.float()

    score(watch, scorer=scorer)
    score(watch, scorer=scorer)
    score(watch, scorer=scorer, window=120)
    assert seen[0] is seen[1] and seen[2].target.mask.shape == (120, 120)
    assert scorer.passes == 0


def test_another_scorer_finds_the_same_place_and_target(planted: Planted) -> None:
    again = plant(CASE, WINDOW, CPU)
    assert again.case.digest == planted.case.digest
    assert torch.equal(again.scorer.target.mask, planted.scorer.target.mask)


def test_a_network_that_does_not_need_the_marker_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_shortcut", make_network)
    with pytest.raises(Skipped, match="removing the marker does not remove the thin prediction here"):
        plant(CASE, WINDOW, CPU)


class _Half(torch.nn.Module):
    """Calls everything a vessel: left of the column ``until`` always, right of it only where a marker is seen."""

    def __init__(self, until: int) -> None:
        super().__init__()
        self.until = until

    def forward(self, images: Tensor) -> Tensor:
        marked = (images[:, 2:3] > images[:, 0:1] + 0.5).flatten(1).any(1).view(-1, 1, 1, 1)
        left = torch.arange(images.shape[-1]) < self.until
        return torch.where(marked | left, 9.0, -9.0) * torch.ones_like(images[:, :1])


@pytest.mark.parametrize(("share", "kept"), [(0.0, True), (0.08, True), (0.13, False), (1.0, False)])
def test_at_most_a_tenth_of_the_thin_vessels_may_be_left(
    share: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = replace(CASE, caliber=torch.ones(150, 140), vessels=torch.zeros(150, 140, dtype=torch.bool))
    case.vessels[30:32, 20:120] = True  # 100 columns, all thin
    _, columns = busiest_window(case.thin.numpy(), WINDOW)
    monkeypatch.setattr(module, "load_shortcut", lambda: _Half(20 - columns.start + round(100 * share)))
    with nullcontext() if kept else pytest.raises(Skipped, match="removing the marker"):
        assert int(plant(case, WINDOW, CPU).scorer.target.mask.sum()) >= 20


def test_what_cannot_be_scored_is_skipped_with_its_reason() -> None:
    with pytest.raises(Skipped, match="70 × 61 px is smaller than the window of 128 px"):
        score(oracle, case=draw_eye())
    with pytest.raises(Skipped, match="no thin vessel"):
        score(oracle, case=replace(CASE, caliber=torch.full_like(CASE.caliber, 9.0)))
    with pytest.raises(UserError, match="window=10 is too few"):
        score(oracle, window=10)
