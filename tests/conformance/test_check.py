"""A good method passes every check, and each of these bad ones fails exactly the check that is there for it."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conformance.bad_explainers import (
    BAD,
    HARMLESS,
    Method,
    declared,
    good,
    inverted,
    leaves_a_hook_if_it_fails,
    leaves_a_hook_if_it_fails_later,
    needs_many_pixels,
    stochastic,
)
from xaibench import registry
from xaibench.conformance import CheckResult, Limits, check_explainer, check_names
from xaibench.conformance import explainer_checks as explainers
from xaibench.conformance.explainer_subjects import dotted_case, scorer_of
from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.models.networks.unet import VesselUNet
from xaibench.scorer import Scorer


def by_status(results: list[CheckResult], status: str) -> dict[str, str]:
    return {r.name: r.detail for r in results if r.status == status}


def test_a_good_method_passes() -> None:
    results = check_explainer(declared(good), quick=True)
    assert tuple(r.name for r in results) == check_names(quick=True)
    assert by_status(results, "failed") == {}
    assert set(by_status(results, "skipped")) <= {"gpu"}
    assert all(r.seconds >= 0 and r.detail for r in results)


def test_a_plain_function_is_asked_only_what_it_can_know() -> None:
    results = check_explainer(good, quick=True)
    assert by_status(results, "failed") == {}
    assert set(by_status(results, "skipped")) - {"gpu"} == {"other-seed"}


def test_a_good_stochastic_method_passes() -> None:
    results = check_explainer(declared(stochastic, stochastic=True), quick=True)
    assert by_status(results, "failed") == {}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_run_puts_back_may_be_left_behind(name: str) -> None:
    assert by_status(check_explainer(declared(HARMLESS[name]), quick=True), "failed") == {}


@pytest.mark.parametrize(("check", "name"), [(check, name) for check in BAD for name in BAD[check]])
def test_a_bad_method_fails_exactly_one_check(check: str, name: str) -> None:
    failed = by_status(check_explainer(declared(BAD[check][name]), quick=True), "failed")
    assert set(failed) == {check}, failed


def test_every_check_has_a_method_that_fails_it() -> None:
    elsewhere = {"gpu", "some-map", "cost"}  # tested below
    assert {*BAD} | elsewhere == set(check_names())


def test_the_failure_says_what_and_where() -> None:
    def detail(method: Method, check: str, **traits: Any) -> str:
        return by_status(check_explainer(declared(method, **traits), quick=True), "failed")[check]

    assert detail(leaves_a_hook_if_it_fails, "state") == "it changes hooks if the network fails in its first pass"
    assert detail(leaves_a_hook_if_it_fails_later, "state") == "it changes hooks if it fails in its third pass"
    assert detail(needs_many_pixels, "target").startswith("3 pixels: AssertionError: fifty pixels of the target")
    assert "(bad_explainers.py:" in detail(needs_many_pixels, "target")
    assert "(47, 61)" in detail(lambda s, i: good(s, i)[1:], "shape-dtype-finite")
    assert "rows 20 to 39 and columns 36 to 55" in detail(inverted, "planted-evidence")


def test_a_method_that_always_fails_fails_once() -> None:
    def boom(scorer: Scorer, image: Tensor) -> Tensor:
        raise KeyError("moon")

    results = check_explainer(declared(boom), quick=True)
    assert set(by_status(results, "failed")) == {"shape-dtype-finite"}
    assert "KeyError: 'moon'" in by_status(results, "failed")["shape-dtype-finite"]
    assert by_status(results, "skipped")["same-seed"] == "there is nothing legal to look at, see shape-dtype-finite"


def test_what_a_method_skips_is_skipped_with_its_reason() -> None:
    def picky(scorer: Scorer, image: Tensor) -> Tensor:
        if image.std() == 0:
            raise Skipped("there is nothing to be seen")
        return good(scorer, image)

    results = check_explainer(declared(picky), quick=True)
    assert by_status(results, "failed") == {}
    assert by_status(results, "skipped")["constant-picture"] == "there is nothing to be seen"


def test_what_can_work_nowhere_fails() -> None:
    def never(scorer: Scorer, image: Tensor) -> Tensor:
        raise Skipped("the moon is full")

    results = check_explainer(declared(never), quick=True)
    assert set(by_status(results, "failed")) == {"some-map"}
    assert by_status(results, "skipped")["shape-dtype-finite"] == "the moon is full"


def test_a_skip_hides_no_failure_of_another_picture() -> None:
    def wide_only(scorer: Scorer, image: Tensor) -> Tensor:
        if image.shape[1] < image.shape[2]:
            raise Skipped("too wide")
        return good(scorer, image)[1:]

    assert "shape-dtype-finite" in by_status(check_explainer(declared(wide_only), quick=True), "failed")


def test_an_expected_failure_is_told_with_its_reason() -> None:
    plugin = declared(inverted, known_failures={"planted-evidence": "it shows what speaks against"})
    results = check_explainer(plugin, quick=True)
    assert by_status(results, "failed") == {}
    assert by_status(results, "expected")["planted-evidence"].startswith("it shows what speaks against (the network ")
    # Beside those that it declares itself:
    results = check_explainer(declared(inverted), quick=True, expected_failures={"planted-evidence": "so it is"})
    assert by_status(results, "failed") == {} and set(by_status(results, "expected")) == {"planted-evidence"}


def test_an_expected_failure_that_passes_is_a_failure() -> None:
    results = check_explainer(declared(good), quick=True, expected_failures={"state": "it was so once"})
    assert by_status(results, "failed") == {"state": "it passes: remove the declaration of its failure"}


def test_an_expected_failure_of_no_check_is_refused() -> None:
    with pytest.raises(UserError, match=r"'planted', which does not exist.*planted-evidence"):
        check_explainer(good, expected_failures={"planted": "x"})
    with pytest.raises(UserError, match="gradcm"):
        check_explainer("gradcm")


def sees(scorer: Scorer, image: Tensor, *, rng: Any, case: Case) -> Tensor:
    return case.vessels.float()


def blind(scorer: Scorer, image: Tensor, *, rng: Any, case: Case) -> Tensor:
    return 1 - image[1]


def test_only_a_control_may_see_labels_and_must_then() -> None:
    traits = {"sees_labels": True, "control": True, "signed": False}
    assert by_status(check_explainer(declared(sees, **traits), quick=True), "failed") == {}
    failed = by_status(check_explainer(declared(blind, **traits), quick=True), "failed")
    assert failed == {"labels": "it declares sees_labels=True, and other labels give the same map"}


def test_controls_explain_nothing_and_need_not() -> None:
    results = check_explainer("uniform", quick=True)
    assert by_status(results, "failed") == {}
    assert by_status(results, "skipped")["planted-evidence"] == "a control explains nothing"


def test_the_cost_is_told_and_fails_only_beyond_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explainers, "draw_phantom", lambda seed: dotted_case((128, 150)))
    monkeypatch.setattr(explainers, "unet_phantom", lambda: VesselUNet(channels=(4, 8, 8, 8, 8)).eval())
    monkeypatch.setattr(explainers, "target", lambda name, model, case: scorer_of(case, model).target)
    cost = {r.name: r for r in check_explainer(good)}["cost"]
    assert cost.status == "passed" and ", 1 passes, " in cost.detail
    for limits in (Limits(seconds=0), Limits(peak_mb=-1e6)):
        cost = {r.name: r for r in check_explainer(good, limits=limits)}["cost"]
        assert cost.status == "failed" and ": more than " in cost.detail
    assert "cost" not in {r.name for r in check_explainer(good, quick=True)}


def test_progress_names_each_check_before_it_runs() -> None:
    said: list[str] = []
    check_explainer(good, quick=True, progress=said.append)
    assert tuple(said) == check_names(quick=True)


def test_the_checks_leave_global_chance_alone() -> None:
    before = torch.random.get_rng_state(), random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    check_explainer(good, quick=True)
    after = torch.random.get_rng_state(), random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:] and torch.is_grad_enabled()


def test_parameters_come_with_the_name() -> None:
    results = check_explainer("gradcam[layer=decoder-1/2]", quick=True)
    assert by_status(results, "failed") == {}
    assert "nowhere" in by_status(check_explainer("gradcam[layer=nowhere]", quick=True), "failed")["shape-dtype-finite"]
    assert registry.parse("explainer", good).plugin.traits.known_failures == {}
