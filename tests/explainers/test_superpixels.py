from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import GreenFilter, target_on
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.explainers import superpixels as room
from xaibench.explainers.superpixels import REGIONS, game, region_game, scores, spread, superpixels
from xaibench.scorer import Scorer, Target
from xaibench.scorer.engine import Engine

regions = pytest.mark.parametrize("regions", REGIONS)


@regions
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), segments=st.integers(1, 60), side=st.integers(1, 20), constant=st.booleans())
def test_every_label_is_in_the_field_of_view_and_none_is_left_out(
    regions: str, seed: int, segments: int, side: int, constant: bool
) -> None:
    """Also of a constant image, and of a field of view of fewer pixels than segments."""
    rng = np.random.default_rng(seed)
    fov = np.zeros((24, 31), bool)
    fov[2 : 2 + side, 5 : 5 + int(rng.integers(1, 26))] = True
    image = torch.full((3, 24, 31), 0.5) if constant else torch.from_numpy(rng.random((3, 24, 31), np.float32))
    labels = superpixels(image, torch.from_numpy(fov), segments, regions)
    assert labels.shape == fov.shape and labels.dtype == np.int64
    inside = np.unique(labels[fov])
    np.testing.assert_array_equal(inside, np.arange(len(inside)))
    assert set(np.unique(labels)) == set(inside) and len(inside) <= fov.sum()
    if regions == "slic":
        assert len(inside) >= min(segments, fov.sum()) / 2  # also of pure noise
    else:
        assert len(inside) <= 4 * segments + 4  # a small field of view, or a narrow one, lies across many squares


@regions
def test_outside_it_is_the_nearest_region(regions: str, eye: Case) -> None:
    labels, fov = superpixels(eye.image, eye.fov, 20, regions), eye.fov.numpy()
    inside = np.argwhere(fov)
    for y, x in itertools.chain(np.argwhere(~fov)[::97]):
        distance = np.hypot(*(inside - [y, x]).T)
        nearest = inside[np.isclose(distance, distance.min())]
        assert labels[y, x] in labels[tuple(nearest.T)]


@regions
@pytest.mark.parametrize("segments", [10, 30, 100])
def test_about_as_many_as_were_asked_for(regions: str, segments: int, eye: Case) -> None:
    count = superpixels(eye.image, eye.fov, segments, regions).max() + 1
    assert 0.7 * segments <= count <= 1.4 * segments


def test_superpixels_follow_vessels_and_tiles_do_not(eye: Case) -> None:
    def within(regions: str) -> float:
        """Variance of green within the regions as a share of the whole variance."""
        labels = superpixels(eye.image, eye.fov, 60, regions)[eye.fov.numpy()]
        green = eye.image[1][eye.fov].numpy()
        return float(sum(green[labels == i].var() * (labels == i).mean() for i in np.unique(labels)) / green.var())

    assert within("slic") < 0.6 * within("tiles")


def test_tiles_are_squares_without_slivers(eye: Case) -> None:
    labels, fov = superpixels(eye.image, eye.fov, 25, "tiles"), eye.fov.numpy()
    area = np.bincount(labels[fov])
    side = round(float(np.sqrt(fov.sum() / 25)))
    assert area.min() >= side**2 / 4
    middle = np.argwhere(labels == labels[30, 34])
    np.testing.assert_array_equal(np.ptp(middle, axis=0), [side - 1, side - 1])
    assert len(middle) == side**2


@pytest.mark.parametrize(("arguments", "told"), [((0,), "segments=0"), ((5, "hexagons"), "'hexagons'.* slic, tiles")])
def test_wrong_values_are_named(arguments: tuple[int, str], told: str, eye: Case) -> None:
    with pytest.raises(UserError, match=told):
        superpixels(eye.image, eye.fov, *arguments)


@regions
def test_a_map_sums_to_the_values_and_is_even_within_a_region(regions: str, eye: Case) -> None:
    labels = superpixels(eye.image, eye.fov, 12, regions)
    values = np.random.default_rng(0).normal(size=labels.max() + 1)
    map_ = spread(values, labels, eye.fov)
    assert map_.dtype == torch.float32 and map_[~eye.fov].abs().max() == 0
    for i, value in enumerate(values):
        region = map_[torch.from_numpy(labels == i) & eye.fov]
        assert float(region.double().sum()) == pytest.approx(value, rel=1e-5)
        assert region.min() == region.max()


class Watched(nn.Module):
    """A network that keeps the size of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.filter, self.sizes = GreenFilter(), []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        return self.filter(images)


def test_pictures_are_made_a_few_at_a_time(eye: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "VALUES", 5 * eye.image.numel())
    model = Watched()
    scorer = Scorer(model, target_on(eye), engine=Engine(2))
    made = []

    def pictures() -> itertools.chain[Tensor]:
        for i in range(11):
            made.append((i, scorer.passes))
            yield eye.image * (1 - i / 20)

    values = scores(scorer, pictures())
    # Four fit and make two micro-batches; the fifth would have gone alone. They are made when the last four are done.
    assert made == [(i, i - i % 4) for i in range(11)] and model.sizes == [2, 2, 2, 2, 2, 1]
    green = eye.image[1][eye.vessels].double().numpy()
    expected = [20 * (0.4 - green.mean() * (1 - i / 20)) for i in range(11)]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_one_picture_larger_than_the_memory_still_goes(
    eye: Case, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [float(scorer(eye.image[None])), float(scorer(eye.image[None] * 0.5))]
    monkeypatch.setattr(room, "VALUES", 10)
    assert scores(scorer, [eye.image, eye.image * 0.5]).tolist() == wanted
    assert scores(scorer, []).shape == (0,)


def test_the_game_is_the_score_of_the_picture_put_together(scorer: Scorer, eye: Case) -> None:
    labels = superpixels(eye.image, eye.fov, 9, "tiles")
    reference = torch.rand(eye.image.shape, generator=torch.Generator().manual_seed(1))
    coalitions = np.random.default_rng(0).integers(0, 2, (20, labels.max() + 1))
    coalitions[0], coalitions[1] = 0, 1
    values = game(scorer, eye.image, reference, labels)(coalitions)
    assert values.dtype == np.float64
    for row, value in zip(coalitions, values, strict=True):
        picture = reference.clone()
        for i in np.flatnonzero(row):
            picture[:, labels == i] = eye.image[:, labels == i]
        assert float(scorer(picture[None])) == value
    assert values[0] == float(scorer(reference[None])) and values[1] == float(scorer(eye.image[None]))


def test_a_coalition_costs_one_pass_however_often_it_is_asked_for(scorer: Scorer, eye: Case) -> None:
    _labels, count, value = region_game(scorer, eye.image, 6, "tiles", "mean")
    coalitions = np.eye(count)[[0, 1, 0, 2]]
    first = value(coalitions)
    assert scorer.passes == 3 and first[0] == first[2]
    again = value(coalitions.astype(bool)[::-1])
    assert scorer.passes == 3 and (again == first[::-1]).all()


def test_the_outside_is_never_hidden(eye: Case) -> None:
    """A score that reads the outside alone is the same for all coalitions."""
    outside = Target("outside", ~eye.fov, torch.ones_like(eye.fov), eye.fov.float())
    scorer = Scorer(GreenFilter(), Target("all", outside.mask, outside.fov, outside.prediction))
    image = torch.rand(eye.image.shape, generator=torch.Generator().manual_seed(2))
    labels = superpixels(image, eye.fov, 5)
    reference = room.reference_image("zero", image, eye.fov)
    values = game(scorer, image, reference, labels)(np.array([np.zeros(labels.max() + 1), np.ones(labels.max() + 1)]))
    assert values[0] == values[1]
