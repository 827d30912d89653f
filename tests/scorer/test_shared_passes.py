from collections.abc import Iterator

import numpy as np
import pytest
import torch
from made_up import GreenFilter, target_on
from nets import Recorded
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine


@pytest.fixture
def family(eye: Case) -> tuple[Scorer, Scorer]:
    first = Scorer(GreenFilter(), target_on(eye), engine=Engine(2))
    return first, first.for_target(target_on(eye, ~eye.vessels))


def test_images_are_taken_one_micro_batch_at_a_time(eye: Case) -> None:
    model = Recorded(GreenFilter())
    scorer = Scorer(model, target_on(eye), engine=Engine(2))
    made, place = [], torch.empty_like(eye.image)

    def images() -> Iterator[Tensor]:
        for i in range(5):
            made.append((i, scorer.passes))
            yield torch.mul(eye.image, 1 - i / 20, out=place)  # always in the same memory

    values = scorer.shared.scores(images())
    assert made == [(i, i - i % 2) for i in range(5)] and [shape[0] for shape in model.shapes] == [2, 2, 1]
    green = eye.image[1][eye.vessels].double().numpy()
    np.testing.assert_allclose(values, [20 * (0.4 - green.mean() * (1 - i / 20)) for i in range(5)], rtol=1e-5)
    assert scorer.shared.scores([]) == []


def test_a_family_scores_an_image_once(eye: Case, family: tuple[Scorer, Scorer]) -> None:
    first, second = family
    images = [eye.image, eye.image * 0.5, eye.image, eye.image * 0.25]
    assert first.shared.scores(images) == [float(first(image[None])) for image in images]
    assert second.shared.scores(images[::-1]) == [float(second(image[None])) for image in images[::-1]]
    assert (first.passes, second.passes) == (3 + 4, 4)
    assert second.shared.base_score(second.local_forward(eye.image)) == float(second(eye.image[None]))


def test_a_change_of_the_network_counts_once_the_scores_are_forgotten(eye: Case, family: tuple[Scorer, Scorer]) -> None:
    first, second = family
    before = first.shared.scores([eye.image]), second.shared.scores([eye.image])
    first.model.gain.mul_(0.5)
    assert second.shared.scores([eye.image]) == before[1] and second.passes == 0
    second.shared.forget()
    assert first.shared.scores([eye.image]) != before[0] and second.shared.scores([eye.image]) != before[1]


def test_a_later_member_uses_no_score_from_before_it_joined(eye: Case, family: tuple[Scorer, Scorer]) -> None:
    first, second = family
    first.shared.scores([eye.image])
    third = first.for_target(second.target)
    assert third.shared.scores([eye.image]) == second.shared.scores([eye.image])
    assert (first.passes, second.passes, third.passes) == (1, 0, 1)


def test_values_of_the_family_are_shared_and_those_of_a_target_are_not(family: tuple[Scorer, Scorer]) -> None:
    first, second = family
    assert first.shared.cache.get(dict) is second.shared.cache.get(dict)
    assert first.cache.get(dict) is first.cache.get(dict) is not second.cache.get(dict)


def test_an_image_of_another_size_is_refused(eye: Case, scorer: Scorer) -> None:
    with pytest.raises(UserError, match="got images of shape"):
        scorer.shared.scores([eye.image[:, :1]])
