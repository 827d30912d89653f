"""What does not fit into memory is skipped before it is begun, with the numbers in the reason."""

import numpy as np
import pytest
import torch
from made_up import make_network, target_on
from torch import Tensor

from xaibench.data.case import Case, make_case
from xaibench.errors import Skipped, UserError
from xaibench.registry import Spec, explainer
from xaibench.running.sandbox import memory
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine

SIDE = 1300  # px; just large enough to be looked at


@pytest.fixture
def large() -> Case:
    rng = np.random.default_rng(0)
    vessels = rng.random((SIDE, SIDE)) < 0.05
    image = rng.random((3, SIDE, SIDE), np.float32)
    return make_case("large", image, vessels, np.ones((SIDE, SIDE), bool), caliber=np.ones((SIDE, SIDE)))


@explainer("greedy", family="test", signed=True)
def greedy(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, copies: int = 10) -> Tensor:
    """Holds that many copies of the picture."""
    held = [image + k for k in range(copies)]
    return torch.stack([h.mean(0) for h in held]).mean(0)


def scorer_of(case: Case) -> Scorer:
    return Scorer(make_network(), target_on(case), engine=Engine())


def test_the_need_of_the_whole_is_told_from_a_window(large: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, scorer = Spec(greedy, (("copies", 100),)), scorer_of(large)
    window = memory.needed_mb(spec, large, scorer, 0)
    # Of each copy three planes, their mean, and the mean again in the stack, 4 bytes a pixel.
    assert window == pytest.approx(100 * 20 * memory.PROBE**2 / 1e6, rel=0.3)
    need = window * SIDE**2 / memory.PROBE**2
    monkeypatch.setattr(memory, "free_mb", lambda device: 1.5 * need)
    memory.refuse_what_does_not_fit(spec, large, scorer, 0)
    monkeypatch.setattr(memory, "free_mb", lambda device: 0.5 * need)
    with pytest.raises(Skipped, match=r"it would need about \d+\.\d GB of memory, and \d+\.\d GB are free"):
        memory.refuse_what_does_not_fit(spec, large, scorer, 0)


def test_small_pictures_cost_no_trial(eye: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "needed_mb", lambda *a: pytest.fail("measured"))
    memory.refuse_what_does_not_fit(Spec(greedy), eye, scorer_of(eye), 0)


def test_no_more_is_taken_than_is_allowed(large: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, scorer = Spec(greedy, (("copies", 100),)), scorer_of(large)
    monkeypatch.setattr(memory, "free_mb", lambda device: 1e6)
    monkeypatch.setenv("XAIBENCH_MEMORY", "20")
    memory.refuse_what_does_not_fit(spec, large, scorer, 0)  # needs 3.4 GB
    monkeypatch.setenv("XAIBENCH_MEMORY", "1.5")
    with pytest.raises(Skipped, match=r"about 3\.\d GB of memory, and 1\.5 GB are allowed \(set XAIBENCH_MEMORY"):
        memory.refuse_what_does_not_fit(spec, large, scorer, 0)
    monkeypatch.setattr(memory, "needed_mb", lambda *a: memory.PROBE**2 / SIDE**2 * 12_100)
    monkeypatch.delenv("XAIBENCH_MEMORY")
    with pytest.raises(Skipped, match=r"about 12\.1 GB of memory, and 12 GB are allowed"):
        memory.refuse_what_does_not_fit(spec, large, scorer, 0)
    for wrong in ("much", "-3", "nan"):
        monkeypatch.setenv("XAIBENCH_MEMORY", wrong)
        with pytest.raises(UserError, match=f"XAIBENCH_MEMORY is '{wrong}'"):
            memory.refuse_what_does_not_fit(spec, large, scorer, 0)


@pytest.mark.parametrize("error", [Skipped("too small"), UserError("The patch is larger.", "Give a smaller one.")])
def test_what_the_method_says_of_the_window_alone_does_not_count(
    large: Case, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    @explainer("picky", family="test")
    def picky(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
        """Explains no windows."""
        raise error

    monkeypatch.setattr(memory, "free_mb", lambda device: 0.0)
    memory.refuse_what_does_not_fit(Spec(picky), large, scorer_of(large), 0)


def test_a_picture_that_is_narrower_than_the_window_is_taken_in_its_whole_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = (200, 8000)
    image, all_ = np.random.default_rng(0).random((3, *size), np.float32), np.ones(size, bool)
    narrow = make_case("narrow", image, all_, all_, caliber=np.ones(size))
    monkeypatch.setattr(memory, "free_mb", lambda device: 1.5 * 100 * 20 * 1.6)
    memory.refuse_what_does_not_fit(Spec(greedy, (("copies", 100),)), narrow, scorer_of(narrow), 0)
    with pytest.raises(Skipped, match="it would need about"):
        memory.refuse_what_does_not_fit(Spec(greedy, (("copies", 300),)), narrow, scorer_of(narrow), 0)


def test_some_memory_is_free() -> None:
    assert memory.free_mb(torch.device("cpu")) > 100
