"""Holding a plugin against the checks, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from xaibench.conformance.explainer_checks import CHECKS, Limits, cost, some_map
from xaibench.conformance.explainer_trial import CheckFailed, NoMap, Trial
from xaibench.conformance.metric_checks import METRIC_CHECKS
from xaibench.conformance.metric_trial import MetricTrial
from xaibench.errors import Skipped, UserError
from xaibench.registry import Plugin, Spec, parse

COST, SOME = "cost", "some-map"


@dataclass(frozen=True)
class CheckResult:
    """What came of one check.

    Attributes:
        name: such as ``"planted-evidence"``.
        status: ``"passed"``, ``"failed"``, ``"skipped"``, or ``"expected"``: it failed, as was declared.
        detail: what was found, or why it was skipped, in a sentence.
        seconds: wall time.
    """

    name: str
    status: str
    detail: str
    seconds: float


def check_names(quick: bool = False) -> tuple[str, ...]:
    """The checks of :func:`check_explainer`, in the order in which they run."""
    return (*CHECKS, SOME) if quick else (*CHECKS, COST, SOME)


def check_explainer(
    method: str | Spec | Plugin | Callable[..., Any],
    *,
    expected_failures: dict[str, str] | None = None,
    quick: bool = False,
    limits: Limits | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[CheckResult]:
    """Hold an explainer against what every explainer must do.

    A check is skipped with the method's own reason where the method raises :class:`~xaibench.errors.Skipped`; a method
    that gives no map in any check fails. Where the method has no legal map of an ordinary picture, what cannot be
    looked at without one is skipped, so that there is one failure and not ten.

    Args:
        method: such as ``"gradcam[layer=last]"``, a plugin, or a function ``(scorer, image, *, rng) -> (H, W)``.
        expected_failures: names of checks that it cannot pass by its nature, each with the reason, beside those that
            it declares itself with ``known_failures``. One that it passes all the same is a failure.
        quick: leave out the last check, ``cost``, a map of a DRIVE-sized picture.
        limits: what ``cost`` may not exceed; without, it only reports.
        progress: called with the name of each check before it.

    Returns:
        One result per check, in the order in which they ran.

    Raises:
        UserError: for an unknown method or parameter, or an expected failure of a check that does not exist.

    Example:
        >>> def darkness(scorer, image, *, rng):
        ...     return 1 - image[1]
        >>> [result.name for result in check_explainer(darkness, quick=True) if result.status == "failed"]
        ['planted-evidence']
    """
    spec = method if isinstance(method, Spec) else parse("explainer", method)
    every: dict[str, Callable[[Trial], str]] = {**CHECKS, COST: partial(cost, limits=limits), SOME: some_map}
    return _held(
        spec, Trial(spec), {n: every[n] for n in check_names(quick)}, expected_failures, check_names(), progress
    )


def check_metric(
    metric: str | Spec | Plugin | Callable[..., Any],
    *,
    expected_failures: dict[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[CheckResult]:
    """Hold a metric against what every metric must do: the answers it must give on a small eye with known vessels.

    Args:
        metric: such as ``"srg[fill=mean]"``, a plugin, or a function ``(attribution, case, scorer, *, rng) -> Score``.
        expected_failures: as of :func:`check_explainer`.
        progress: called with the name of each check before it.

    Returns:
        One result per check, in the order in which they ran.

    Raises:
        UserError: for an unknown metric or parameter, or an expected failure of a check that does not exist.

    Example:
        >>> from xaibench import Score
        >>> def brightest(attribution, case, scorer, *, rng):
        ...     "Highest value of the map."
        ...     return Score(float("nan"))
        >>> [result.name for result in check_metric(brightest) if result.status == "failed"][0]
        'legal-values'
    """
    spec = metric if isinstance(metric, Spec) else parse("metric", metric)
    return _held(spec, MetricTrial(spec), METRIC_CHECKS, expected_failures, tuple(METRIC_CHECKS), progress)


def _held(
    spec: Spec,
    trial: Any,
    checks: dict[str, Callable[[Any], str]],
    expected_failures: dict[str, str] | None,
    known: tuple[str, ...],
    progress: Callable[[str], None] | None,
) -> list[CheckResult]:
    """The checks one after the other."""
    expected = {**spec.plugin.traits.known_failures, **(expected_failures or {})}
    for name in expected:
        if name not in known:
            raise UserError(
                f"{spec} is expected to fail a check {name!r}, which does not exist.",
                f"The checks are {', '.join(known)}.",
            )
    results = dict[str, CheckResult]()
    for name, check in checks.items():
        if progress is not None:
            progress(name)
        start = time.perf_counter()
        crippled = trial.basic in results and results[trial.basic].status in ("failed", "expected")
        status, detail = _outcome(check, trial, crippled)
        if name in expected:
            status, detail = _expected(status, detail, expected[name])
        results[name] = CheckResult(name, status, detail, time.perf_counter() - start)
    return list(results.values())


def _outcome(check: Callable[[Any], str], trial: Any, crippled: bool) -> tuple[str, str]:
    try:
        return "passed", check(trial)
    except Skipped as reason:
        return "skipped", str(reason)
    except CheckFailed as failure:
        return "failed", str(failure)
    except NoMap as error:
        return (
            ("skipped", f"there is nothing legal to look at, see {trial.basic}") if crippled else ("failed", str(error))
        )


def _expected(status: str, detail: str, reason: str) -> tuple[str, str]:
    if status == "failed":
        return "expected", f"{reason} ({detail})"
    if status == "passed":
        return "failed", "passes: take the declaration of its failure away"
    return status, detail
