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


def metric_of(compute: Callable[[np.ndarray, Case], float], summary: str = "What it measures.") -> Metric:
    """The function of a metric with that value and that docstring."""

    def score(attribution: np.ndarray, case: Case) -> Score:
        return Score(compute(attribution, case))

    score.__doc__ = summary
    return score


def roc(attribution: np.ndarray, case: Case) -> float:
    vessels, fov = case.vessels.numpy(), case.fov.numpy()
    if not vessels.any():
        raise Skipped("there are no vessels")
    return area_under_roc(attribution[vessels], attribution[fov & ~vessels])


def share_of_the_sum(attribution: np.ndarray, case: Case) -> float:
    """Of an all-zero map 0 ÷ 0."""
    with np.errstate(all="ignore"):
        return float(np.abs(attribution[case.vessels.numpy()]).sum() / np.abs(attribution).sum())


def mass_of_signed_maps(attribution: np.ndarray, case: Case) -> float:
    """Without taking the positive part, so that it leaves [0, 1]."""
    total = float(attribution[case.fov.numpy()].sum(dtype=np.float64))
    return float(attribution[case.vessels.numpy()].sum(dtype=np.float64)) / total if total else 0.0


def ties_are_hits(attribution: np.ndarray, case: Case) -> float:
    """Whether some highest pixel is a vessel: of a constant map, always."""
    if not case.vessels.any():
        raise Skipped("there are no vessels")
    fov = case.fov.numpy()
    return float(case.vessels.numpy()[fov & (attribution == attribution[fov].max())].any())


def left_half(attribution: np.ndarray, case: Case) -> float:
    """ROC area of the left half of the picture."""
    left = np.arange(case.fov.shape[1]) < case.fov.shape[1] // 2
    vessels, fov = case.vessels.numpy() & left, case.fov.numpy() & left
    return area_under_roc(attribution[vessels], attribution[fov & ~vessels])


def returns_a_plain_number(attribution: np.ndarray, case: Case) -> Any:
    """ROC area for vessels, not as a Score."""
    return roc(attribution, case)


def changes_the_network(attribution: np.ndarray, case: Case, scorer: Scorer) -> Score:
    """ROC area for vessels, leaving the network in another mode."""
    scorer.model.train()
    return Score(roc(attribution, case))


def counts_the_batch(attribution: np.ndarray, case: Case, scorer: Scorer) -> Score:
    """ROC area for vessels, weighted by how many pictures go through at a time."""
    return Score(0.5 + (roc(attribution, case) - 0.5) / scorer.engine.micro_batch)


def counts_steps(attribution: np.ndarray, case: Case, steps: int = 2) -> Score:
    """A sum over the steps that is not divided by their number."""
    return Score(min(1.0, steps * lift_of(attribution, case.vessels.numpy(), case.fov.numpy()) / 20))


def never(attribution: np.ndarray, case: Case) -> Score:
    """Nothing at all."""
    raise Skipped("the moon is full")


good = metric_of(roc)
looks_left = metric_of(left_half)
chance = np.random.default_rng()  # not the generator that a metric is given
BAD: dict[str, list[tuple[Metric, dict[str, Any]]]] = {
    "declared": [(metric_of(roc, "no sentence"), {})],
    "legal-values": [
        (metric_of(share_of_the_sum), {}),
        (returns_a_plain_number, {}),
        (metric_of(mass_of_signed_maps), {}),
    ],
    "same-value": [(metric_of(lambda map_, case: roc(map_, case) * (1 - 1e-3 * float(chance.random()))), {})],
    "state": [(changes_the_network, {})],
    "micro-batch": [(counts_the_batch, {})],
    "oracle": [(metric_of(lambda map_, case: 1 - roc(map_, case)), {"mask": "vessels"})],
    "chance": [(metric_of(ties_are_hits), {"mask": "vessels"}), (good, {"chance": 0.4})],
    "scale": [(metric_of(lambda map_, case: roc(np.minimum(map_, 0.2), case)), {"invariant": "scale"})],
    "rank": [
        (metric_of(lambda map_, case: mass_share(map_, case.vessels.numpy(), case.fov.numpy())), {"invariant": "rank"})
    ],
    "mirrored": [(looks_left, {})],
    "empty-mask": [(metric_of(lambda map_, case: roc(map_, case) if case.vessels.any() else 1.0), {"mask": "vessels"})],
    "steps": [(counts_steps, {})],
    "some-value": [(never, {})],
}


def declared(function: Metric, **traits: Any) -> Plugin:
    return metric("made-up", **(DECLARED | traits))(function)


def failures(plugin: Plugin, **given: Any) -> dict[str, str]:
    return {r.name: r.detail for r in check_metric(plugin, **given) if r.status == "failed"}


def test_a_good_metric_passes_what_it_declares() -> None:
    results = check_metric(declared(good, mask="vessels", invariant="rank", chance=0.5))
    assert [r.name for r in results] == list(METRIC_CHECKS)
    assert {r.name for r in results if r.status != "passed"} == {"steps"}


@pytest.mark.parametrize("check", METRIC_CHECKS)
def test_every_check_has_metrics_that_fail_it(check: str) -> None:
    for function, traits in BAD[check]:
        assert check in failures(declared(function, **traits))


def test_a_declared_failure_is_expected_and_one_that_passes_is_not() -> None:
    why = {"mirrored": "it looks left"}
    assert failures(declared(looks_left, known_failures=why)) == {}
    assert failures(declared(looks_left), expected_failures=why) == {}
    assert "remove the declaration" in failures(declared(good), expected_failures=why)["mirrored"]
    with pytest.raises(UserError, match="'mirror', which does not exist"):
        check_metric(declared(good), expected_failures={"mirror": "a slip"})


def test_a_plain_function_can_be_checked() -> None:
    assert {r.status for r in check_metric(good)} == {"passed", "skipped"}


def test_every_range_and_chance_of_a_registered_metric_agree() -> None:
    for plugin in registry.available("metric")[0]:
        low, high = plugin.traits.range
        chance = plugin.traits.chance
        assert chance is None or (math.isfinite(chance) and low <= chance <= high)
