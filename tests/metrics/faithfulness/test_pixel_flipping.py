"""Pictures that are solved side by side are those that are solved one by one, asked for in turn or with gaps."""

import numpy as np
import pytest

from xaibench.data.case import Case
from xaibench.metrics.faithfulness import pixel_flipping as room
from xaibench.metrics.faithfulness.pixel_flipping import removal_of, seeded_fill
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine


@pytest.mark.parametrize("fill", ["inpaint", "blur"])
def test_as_many_at_once_as_there_are_threads(fill: str, eye: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    filler, fov = seeded_fill(eye, fill, 3), eye.fov.numpy()
    steps = np.random.default_rng(0).integers(0, 9, fov.shape)
    expected = [filler((steps <= k) & fov) for k in range(8)]
    for threads in (1, 3):
        monkeypatch.setattr(room.torch, "get_num_threads", lambda n=threads: n)
        for asked in (range(8), (0, 3, 4, 7)):
            picture = room.images_in_order(filler, steps, 8)
            assert all(np.array_equal(picture(k), expected[k]) for k in asked)


def test_curves_do_not_depend_on_it(eye: Case, scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    map_ = eye.image[1].numpy()
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(room.torch, "get_num_threads", lambda n=threads: n)
        # An engine is measured per number of threads; given here, since another memory format rounds otherwise.
        fresh = Scorer(scorer.model, scorer.target, engine=Engine())
        found.append(removal_of(eye, fresh, "inpaint", np.random.default_rng(0)).curves(map_, 6))
    assert all(np.array_equal(getattr(found[0], c), getattr(found[1], c)) for c in ("most_first", "least_first"))


def test_large_pictures_are_solved_one_at_a_time(eye: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AT_ONCE", eye.fov.numel())
    monkeypatch.setattr(room, "ThreadPoolExecutor", None)  # would fail if it were used
    filler = seeded_fill(eye, "inpaint", 0)
    assert room.images_in_order(filler, np.zeros(tuple(eye.fov.shape), int), 2)(1).shape == eye.image.shape
