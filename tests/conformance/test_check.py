"""Good methods pass every check, and each of these bad ones fails exactly the check that is there for it."""

import re
from collections import defaultdict
from typing import Any

import pytest
import torch
from made_up import chance

from conformance.bad_explainers import BAD, GOOD, Method, declared, good, inverted
from xaibench import registry
from xaibench.conformance import Limits, check_explainer, check_names
from xaibench.conformance import explainer_checks as explainers
from xaibench.conformance.explainer_subjects import dotted_case, scorer_of
from xaibench.errors import UserError
from xaibench.models.networks.unet import VesselUNet

SKIPPED = {  # of the good methods, by check, besides the check that needs a GPU
    "a plain function": {"other-seed": "a plain function does not declare whether it is stochastic"},
    "a control": {"planted-evidence": "a control explains nothing"},
    "a control that sees labels": {"planted-evidence": "a control explains nothing"},
    "skips constant images": {"constant-picture": "there is nothing to be seen"},
}
DETAILS = {  # what the failure says of some bad methods: what, and where
    "leaves a hook if it fails": "it changes hooks if the network fails in its first pass$",
    "leaves a hook if it fails later": "it changes hooks if it fails in its third pass$",
    "needs many pixels": r"3 pixels: AssertionError: fifty pixels of the target \(bad_explainers\.py:",
    "even-sized": r"\(48, 60\)",
    "inverted": "rows 20 to 39 and columns 36 to 55",
    "raises": "KeyError: 'moon'",
    "asks for labels": "it declares sees_labels=True, and other labels give the same map$",
}
REASONS = {  # why another check is skipped for some bad methods
    "raises": ("same-seed", "there is nothing legal to look at, see shape-dtype-finite"),
    "skips everything": ("shape-dtype-finite", "the moon is full"),
}


def checked(method: Method | str, **given: Any) -> dict[str, dict[str, str]]:
    """The details by status and check."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for result in check_explainer(method, quick=True, **given):
        assert result.seconds >= 0 and result.detail
        found[result.status][result.name] = result.detail
    return found


@pytest.mark.parametrize("name", GOOD)
def test_a_good_method_passes(name: str) -> None:
    found = checked(GOOD[name])
    assert not found["failed"]
    found["skipped"].pop("gpu", None)
    assert found["skipped"] == SKIPPED.get(name, {})


@pytest.mark.parametrize(("check", "name"), [(check, name) for check in BAD for name in BAD[check]])
def test_a_bad_method_fails_exactly_one_check(check: str, name: str) -> None:
    found = checked(declared(BAD[check][name]))
    assert set(found["failed"]) == {check}, found["failed"]
    assert re.search(DETAILS.get(name, ""), found["failed"][check])
    if name in REASONS:
        skipped, reason = REASONS[name]
        assert found["skipped"][skipped] == reason


def test_every_check_has_a_method_that_fails_it() -> None:
    assert {*BAD, "gpu", "cost"} == set(check_names())  # those two are tested below


def test_an_expected_failure_is_told_with_its_reason() -> None:
    why = {"planted-evidence": "it shows what speaks against"}
    # Declared by the method itself, or given to the check:
    for found in (checked(declared(inverted, known_failures=why)), checked(declared(inverted), expected_failures=why)):
        assert not found["failed"] and set(found["expected"]) == {"planted-evidence"}
        assert found["expected"]["planted-evidence"].startswith("it shows what speaks against (the network ")


def test_an_expected_failure_that_passes_is_a_failure() -> None:
    found = checked(declared(good), expected_failures={"state": "it was so once"})
    assert found["failed"] == {"state": "it passes: remove the declaration of its failure"}


def test_an_expected_failure_of_no_check_is_refused() -> None:
    with pytest.raises(UserError, match=r"'planted', which does not exist.*planted-evidence"):
        check_explainer(good, expected_failures={"planted": "x"})
    with pytest.raises(UserError, match="gradcm"):
        check_explainer("gradcm")


def test_the_cost_is_told_and_fails_only_beyond_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explainers, "draw_phantom", lambda seed: dotted_case((128, 150)))
    monkeypatch.setattr(explainers, "unet_phantom", lambda: VesselUNet(channels=(4, 8, 8, 8, 8)).eval())
    monkeypatch.setattr(explainers, "target", lambda name, model, case: scorer_of(case, model).target)
    for limits in (None, Limits(seconds=0), Limits(peak_mb=-1e6)):
        cost = {r.name: r for r in check_explainer(good, limits=limits)}["cost"]
        assert ", 1 passes, " in cost.detail and (": more than " in cost.detail) == bool(limits)
        assert cost.status == ("failed" if limits else "passed")


def test_checks_run_in_order_each_after_its_name_and_leave_global_chance_alone() -> None:
    before, names = chance(), list[str]()
    results = check_explainer(good, quick=True, progress=names.append)
    assert tuple(names) == tuple(r.name for r in results) == check_names(quick=True)
    assert chance() == before and torch.is_grad_enabled()


def test_parameters_come_with_the_name() -> None:
    assert "nowhere" in checked("gradcam[layer=nowhere]")["failed"]["shape-dtype-finite"]
    assert registry.parse("explainer", good).plugin.traits.known_failures == {}
