import numpy as np
import torch
from made_up import GreenFilter, noise

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.scorer import Scorer, Target
from xaibench.scorer.coalition_game import CoalitionGame, region_game


def test_the_game_is_the_score_of_the_picture_put_together(scorer: Scorer, eye: Case) -> None:
    labels = superpixels(eye.image, eye.fov, 9, "tiles")
    reference = noise(*eye.image.shape, seed=1)
    coalitions = np.random.default_rng(0).integers(0, 2, (20, labels.max() + 1))
    coalitions[0], coalitions[1] = 0, 1
    values = CoalitionGame(scorer, eye.image, reference, labels)(coalitions)
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
    assert (value(coalitions.astype(bool)[::-1]) == first[::-1]).all() and scorer.passes == 3


def test_the_outside_is_never_hidden(eye: Case) -> None:
    """A score that reads the outside alone is the same for all coalitions."""
    scorer = Scorer(GreenFilter(), Target("outside", ~eye.fov, torch.ones_like(eye.fov), eye.fov.float()))
    image = noise(*eye.image.shape, seed=2)
    labels = superpixels(image, eye.fov, 5)
    reference = reference_image("zero", image, eye.fov, eye.scale)
    none, every = CoalitionGame(scorer, image, reference, labels)(np.outer([0, 1], np.ones(labels.max() + 1)))
    assert none == every
