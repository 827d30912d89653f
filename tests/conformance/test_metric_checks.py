"""A good metric passes every check; those with the defects of public toolkits fail the check that is there for each."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xaibench import registry
from xaibench.conformance import check_metric
from xaibench.conformance.metric_checks import METRIC_CHECKS
from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.metrics.score import Score
from xaibench.metrics.similarity import area_under_roc, lift_of, mass_share
from xaibench.registry import Plugin, metric
from xaibench.scorer import Scorer

Metric = Callable[..., Score]
DECLARED: dict[str, Any] = {"family": "overlap", "better": "higher", "range": (0, 1)}


def roc(attribution: np.ndarray, case: Case) -> float:
    vessels, fov = case.vessels.numpy(), case.fov.numpy()
    if not vessels.any():
        raise Skipped("there are no vessels")
    return area_under_roc(attribution[vessels], attribution[fov & ~vessels])


def good(attribution: np.ndarray, case: Case) -> Score:
    """ROC area for vessels."""
    return Score(roc(attribution, case))


def not_a_number(attribution: np.ndarray, case: Case) -> Score:
    """Share of the map's sum on vessels, which of an all-zero map is 0 ÷ 0."""
    with np.errstate(all="ignore"):
        return Score(float(np.abs(attribution[case.vessels.numpy()]).sum() / np.abs(attribution).sum()))


def a_plain_number(attribution: np.ndarray, case: Case) -> Any:
    """ROC area for vessels, not as a Score."""
    return roc(attribution, case)


def mass_of_signed_maps(attribution: np.ndarray, case: Case) -> Score:
    """Mass accuracy without taking the positive part, so that it leaves [0, 1]."""
    total = float(attribution[case.fov.numpy()].sum(dtype=np.float64))
    return Score(float(attribution[case.vessels.numpy()].sum(dtype=np.float64)) / total if total else 0.0)


def by_chance(attribution: np.ndarray, case: Case) -> Score:
    """ROC area for vessels, with chance that does not come from the generator."""
    return Score(min(1.0, roc(attribution, case) * (1 - 1e-3 * float(np.random.default_rng().random()))))


def changes_the_case(attribution: np.ndarray, case: Case, scorer: Scorer) -> Score:
    """ROC area for vessels, leaving the network in another mode."""
    scorer.model.train()
    return Score(roc(attribution, case))


def first_batch_only(attribution: np.ndarray, case: Case, scorer: Scorer) -> Score:
    """ROC area for vessels, weighted by how many pictures go through at a time."""
    size = scorer.engine.micro_batch if scorer.engine else 1
    return Score(0.5 + (roc(attribution, case) - 0.5) / size)


def inverted(attribution: np.ndarray, case: Case) -> Score:
    """ROC area for vessels, the wrong way round."""
    return Score(1 - roc(attribution, case))


def takes_ties_for_hits(attribution: np.ndarray, case: Case) -> Score:
    """Whether some highest pixel is a vessel: of a constant map, always."""
    if not case.vessels.any():
        raise Skipped("there are no vessels")
    fov = case.fov.numpy()
    highest = fov & (attribution == attribution[fov].max())
    return Score(float(case.vessels.numpy()[highest].any()))


def depends_on_the_scale(attribution: np.ndarray, case: Case) -> Score:
    """ROC area of the map cut off at 1."""
    return Score(roc(np.minimum(attribution, 0.2), case))


def depends_on_more_than_order(attribution: np.ndarray, case: Case) -> Score:
    """Mass share on vessels."""
    if not case.vessels.any():
        raise Skipped("there are no vessels")
    return Score(mass_share(attribution, case.vessels.numpy(), case.fov.numpy()))


def leans_to_the_left(attribution: np.ndarray, case: Case) -> Score:
    """ROC area of the left half of the picture."""
    vessels, fov = case.vessels.numpy().copy(), case.fov.numpy().copy()
    if not vessels.any():
        raise Skipped("there are no vessels")
    half = fov.shape[1] // 2
    vessels[:, half:] = fov[:, half:] = False
    return Score(area_under_roc(attribution[vessels], attribution[fov & ~vessels]))


def hits_an_empty_mask(attribution: np.ndarray, case: Case) -> Score:
    """ROC area for vessels; 1 where there are none."""
    return Score(roc(attribution, case) if case.vessels.any() else 1.0)


def counts_steps(attribution: np.ndarray, case: Case, steps: int = 2) -> Score:
    """A sum over the steps that is not divided by their number."""
    return Score(min(1.0, steps * lift_of(attribution, case.vessels.numpy(), case.fov.numpy()) / 20))


def never(attribution: np.ndarray, case: Case) -> Score:
    """Nothing at all."""
    raise Skipped("the moon is full")


def whispers(attribution: np.ndarray, case: Case) -> Score:
    """ROC area for vessels"""  # no sentence
    return Score(roc(attribution, case))


BAD: list[tuple[Metric, str, dict[str, Any]]] = [
    (whispers, "declared", {}),
    (not_a_number, "legal-values", {}),
    (a_plain_number, "legal-values", {}),
    (mass_of_signed_maps, "legal-values", {}),
    (by_chance, "same-value", {}),
    (changes_the_case, "state", {}),
    (first_batch_only, "micro-batch", {}),
    (inverted, "oracle", {"mask": "vessels"}),
    (takes_ties_for_hits, "chance", {"mask": "vessels"}),
    (good, "chance", {"chance": 0.4}),
    (depends_on_the_scale, "scale", {"invariant": "scale"}),
    (depends_on_more_than_order, "rank", {"invariant": "rank"}),
    (leans_to_the_left, "mirrored", {}),
    (hits_an_empty_mask, "empty-mask", {"mask": "vessels"}),
    (counts_steps, "steps", {}),
    (never, "some-value", {}),
]


def declared(function: Metric, **traits: Any) -> Plugin:
    return metric("made-up", **(DECLARED | traits))(function)


def failures(plugin: Plugin, **given: Any) -> dict[str, str]:
    return {r.name: r.detail for r in check_metric(plugin, **given) if r.status == "failed"}


def test_a_good_metric_passes_what_it_declares() -> None:
    plugin = declared(good, mask="vessels", invariant="rank", chance=0.5)
    results = check_metric(plugin)
    assert [r.name for r in results] == list(METRIC_CHECKS)
    assert {r.name for r in results if r.status != "passed"} == {"steps"}


@pytest.mark.parametrize(("function", "check", "traits"), BAD, ids=lambda v: getattr(v, "__name__", None))
def test_a_bad_metric_fails_the_check_for_it(function: Metric, check: str, traits: dict[str, Any]) -> None:
    assert check in failures(declared(function, **traits))


def test_every_check_has_a_metric_that_fails_it() -> None:
    assert {check for _, check, _ in BAD} == set(METRIC_CHECKS)


def test_a_declared_failure_is_expected_and_one_that_passes_is_not() -> None:
    why = {"mirrored": "it looks left"}
    assert failures(declared(leans_to_the_left, known_failures=why)) == {}
    assert failures(declared(leans_to_the_left), expected_failures=why) == {}
    assert "remove the declaration" in failures(declared(good), expected_failures=why)["mirrored"]
    with pytest.raises(UserError, match="'mirror', which does not exist"):
        check_metric(declared(good), expected_failures={"mirror": "a slip"})


def test_a_plain_function_can_be_checked() -> None:
    assert {r.status for r in check_metric(good)} == {"passed", "skipped"}


@pytest.mark.parametrize(
    ("what", "value"),
    [("better", "up"), ("measures", "maps"), ("mask", "veins"), ("invariant", "order")],
)
def test_traits_that_do_not_exist_are_told(what: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"made-up.*{what}='{value}'"):
        metric("made-up", **(DECLARED | {what: value}))


def test_every_range_and_chance_of_a_registered_metric_agree() -> None:
    for plugin in registry.available("metric")[0]:
        low, high = plugin.traits.range
        chance = plugin.traits.chance
        assert chance is None or (math.isfinite(chance) and low <= chance <= high)
