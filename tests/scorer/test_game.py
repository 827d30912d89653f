from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from made_up import GreenFilter, target_on
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.data.reference import reference_image
from xaibench.data.regions import superpixels
from xaibench.scorer import Scorer, Target
from xaibench.scorer import game as room
from xaibench.scorer.engine import Engine
from xaibench.scorer.game import game, region_game, scores


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
    reference = reference_image("zero", image, eye.fov, eye.scale)
    values = game(scorer, image, reference, labels)(np.array([np.zeros(labels.max() + 1), np.ones(labels.max() + 1)]))
    assert values[0] == values[1]
