import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from made_up import chance, target_on
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.explainers.explain import explain, map_rng
from xaibench.registry import explainer, parse
from xaibench.scorer import Scorer


def constant(value: Any) -> Callable[..., Any]:
    def method(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Any:
        return value

    return method


ONES = torch.ones(61, 70)


@pytest.mark.parametrize(
    "value",
    [
        ONES.numpy(),
        ONES.numpy().astype(int)[::-1],  # a view with negative strides
        ONES.double().requires_grad_(),
        ONES.half(),
        ONES.bool(),
        ONES[None],
        ONES[None, None].numpy(),
        torch.stack([ONES, 2 * ONES, -2 * ONES]),
        torch.stack([ONES, 2 * ONES, -2 * ONES])[None],
        ONES.tolist(),
    ],
)
def test_a_map_is_a_float32_tensor_on_the_cpu_with_channels_summed(scorer: Scorer, eye: Case, value: Any) -> None:
    map_ = explain(scorer, eye.image, method=constant(value))
    assert map_.dtype == torch.float32 and map_.shape == (61, 70) and not map_.requires_grad
    assert (map_ == 1).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (ONES.T, r"a map of shape \(70, 61\), not \(61, 70\): transpose it"),
        (torch.zeros(61, 70, 3), r"of shape \(61, 70, 3\), .*: move its channels to the front"),
        (torch.zeros(2, 61, 70), "reduce its leading axes to one map"),
        (torch.zeros(2, 3, 61, 70), "reduce its leading axes to one map"),
        (torch.zeros(61), "resize it, as torch.nn.functional.interpolate does"),
        (torch.zeros(3, 70, 61), "resize it"),
        ([ONES, ONES], "a list of 2: return one of them, or their sum"),
        ((ONES.numpy(),), "a tuple of 1: return one of them"),
        (None, "nothing: end the function with `return`"),
        ("map", "a str: return a tensor or a NumPy array of real numbers"),
        (np.full((61, 70), None), "a ndarray: return a tensor or a NumPy array of real numbers"),
        (ONES * 1j, "complex numbers, which have no order"),
    ],
)
def test_what_is_no_map_is_refused_with_the_remedy(scorer: Scorer, eye: Case, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^method returned .*{message}"):
        explain(scorer, eye.image, method=constant(value))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_an_error(scorer: Scorer, eye: Case, value: float) -> None:
    map_ = np.zeros((61, 70))
    map_[3, 4] = value
    with pytest.raises(ValueError, match="not finite"):
        explain(scorer, eye.image, method=constant(map_))


def noise(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> np.ndarray:
    return rng.random(tuple(image.shape[1:]))


def test_chance_is_decided_by_seed_method_and_image(scorer: Scorer, eye: Case) -> None:
    first = explain(scorer, eye.image, method=noise, seed=1)
    assert torch.equal(first, explain(scorer, eye.image, method=noise, seed=1))
    assert not torch.equal(first, explain(scorer, eye.image, method=noise, seed=2))
    assert not torch.equal(first, explain(scorer, eye.image * 0.5, method=noise, seed=1))
    a, b = (map_rng(0, parse("explainer", t), eye.image).random() for t in ("random", "frangi"))
    assert a != b


def test_global_chance_is_seeded_and_left_as_it_was(scorer: Scorer, eye: Case) -> None:
    """A library that draws from the global generators does not make a map irreproducible, nor what comes after it."""

    def careless(scorer: Scorer, image: Tensor, *, fail: bool = False) -> Tensor:
        map_ = torch.rand(image.shape[1:]) + random.random() + np.random.rand()  # noqa: NPY002
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        if fail:
            raise ZeroDivisionError
        return map_

    before = chance()
    first = explain(scorer, eye.image, method=careless)
    with pytest.raises(ZeroDivisionError):
        explain(scorer, eye.image, method=partial(careless, fail=True))
    assert chance() == before
    torch.rand(5), np.random.rand(5), random.random()  # noqa: NPY002
    assert torch.equal(explain(scorer, eye.image, method=careless), first)
    assert not torch.equal(explain(scorer, eye.image, method=careless, seed=1), first)


def test_a_method_that_works_in_place_spoils_nobody_elses_image(scorer: Scorer, eye: Case) -> None:
    def greedy(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
        image.mul_(0).requires_grad_()
        return image[1]

    before = eye.image.clone()
    explain(scorer, eye.image, method=greedy)
    assert torch.equal(eye.image, before) and not eye.image.requires_grad


def test_gradients_and_flags_of_weights_are_put_back(scorer: Scorer, eye: Case) -> None:
    def backward(scorer: Scorer, image: Tensor) -> Tensor:
        scorer.model.zero_grad()
        scorer(image[None].requires_grad_()).sum().backward()
        scorer.model.requires_grad_(False)
        return torch.ones(image.shape[1:])

    first, *others = scorer.model.parameters()
    first.grad = before = torch.ones_like(first)
    explain(scorer, eye.image, method=backward)
    assert first.grad is before and bool((before == 1).all())
    assert all(weight.grad is None for weight in others)
    assert all(weight.requires_grad for weight in scorer.model.parameters())


def test_labels_are_given_to_those_that_declare_it_only(scorer: Scorer, eye: Case) -> None:
    def spy(scorer: Scorer, image: Tensor, **given: Any) -> Tensor:
        assert set(given) == {"rng"}
        return image[0]

    explain(scorer, eye.image, method=spy, case=eye)

    @explainer("reader", family="control", control=True, sees_labels=True)
    def reader(scorer: Scorer, image: Tensor, *, rng: np.random.Generator, case: Case) -> Tensor:
        return case.thin.float()

    assert torch.equal(explain(scorer, eye.image, method=reader, case=eye), eye.thin.float())
    with pytest.raises(UserError, match=r"reader reads the labels, and none were given\. Pass case="):
        explain(scorer, eye.image, method=reader)


def test_parameters_reach_the_method(scorer: Scorer, eye: Case) -> None:
    blurred = [explain(scorer, eye.image, method=f"green-contrast[sigma={s}]") for s in (3, 15)]
    assert not torch.equal(*blurred)
    assert torch.equal(blurred[1], explain(scorer, eye.image, method="green-contrast"))


def test_an_image_of_another_size_than_the_target(network: Any, eye: Case) -> None:
    with pytest.raises(UserError, match="for a target of 61 × 70 px"):
        explain(Scorer(network, target_on(eye)), torch.rand(3, 64, 64), method="gradcam")
