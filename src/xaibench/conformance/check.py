"""Running the checks on a plugin."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from xaibench.conformance.explainer_checks import CHECKS, Limits, cost, some_map
from xaibench.conformance.explainer_trial import CheckFailed, NoMap, Trial
from xaibench.conformance.metric_checks import METRIC_CHECKS
from xaibench.conformance.metric_trial import MetricTrial
from xaibench.errors import Skipped, UserError
from xaibench.registry import Plugin, Spec, parse
from xaibench.registry.injection import Function

COST, SOME = "cost", "some-map"
T = TypeVar("T", Trial, MetricTrial)


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: such as ``"planted-evidence"``.
        status: ``"passed"``, ``"failed"``, ``"skipped"``, or ``"expected"``: it failed, as was declared.
        detail: the finding, or why it was skipped, in a sentence.
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
    method: str | Spec | Plugin | Function,
    *,
    expected_failures: dict[str, str] | None = None,
    quick: bool = False,
    limits: Limits | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[CheckResult]:
    """Run the checks that every explainer must pass.

    If the method raises :class:`~xaibench.errors.Skipped`, the check is skipped with its reason; a method that gives no
    map in any check fails. If it has no legal map of an ordinary image, checks that need one are skipped, so that there
    is one failure instead of ten.

    Args:
        method: such as ``"gradcam[layer=last]"``, a plugin, or a function ``(scorer, image) -> (H, W)``.
        expected_failures: checks that it cannot pass by its nature, each with the reason, besides those that it
            declares with ``known_failures``. It is a failure to pass one of them.
        quick: leave out the check ``cost``, a map of a DRIVE-sized image.
        limits: what ``cost`` may not exceed; if None, it only reports.
        progress: called with the name of each check before it.

    Returns:
        One result per check, in the order in which they ran.

    Raises:
        UserError: for an unknown method or parameter, or an expected failure of a check that does not exist.

    Example:
        >>> def darkness(scorer, image):
        ...     return 1 - image[1]
        >>> [result.name for result in check_explainer(darkness, quick=True) if result.status == "failed"]
        ['planted-evidence']
    """
    spec = method if isinstance(method, Spec) else parse("explainer", method)
    every: dict[str, Callable[[Trial], str]] = {**CHECKS, COST: partial(cost, limits=limits), SOME: some_map}
    checks = {name: every[name] for name in check_names(quick)}
    return _run(spec, Trial(spec), checks, expected_failures, check_names(), progress)


def check_metric(
    metric: str | Spec | Plugin | Function,
    *,
    expected_failures: dict[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[CheckResult]:
    """Run the checks that every metric must pass, on a small phantom with known vessels.

    Args:
        metric: such as ``"srg[fill=mean]"``, a plugin, or a function ``(attribution, case) -> Score``.
        expected_failures: as of :func:`check_explainer`.
        progress: called with the name of each check before it.

    Returns:
        One result per check, in the order in which they ran.

    Raises:
        UserError: for an unknown metric or parameter, or an expected failure of a check that does not exist.

    Example:
        >>> from xaibench import Score
        >>> def brightest(attribution, case):
        ...     "Highest value of the map."
        ...     return Score(float("nan"))
        >>> [result.name for result in check_metric(brightest) if result.status == "failed"][0]
        'legal-values'
    """
    spec = metric if isinstance(metric, Spec) else parse("metric", metric)
    return _run(spec, MetricTrial(spec), METRIC_CHECKS, expected_failures, tuple(METRIC_CHECKS), progress)


def _run(
    spec: Spec,
    trial: T,
    checks: Mapping[str, Callable[[T], str]],
    expected_failures: Mapping[str, str] | None,
    known: Sequence[str],
    progress: Callable[[str], None] | None,
) -> list[CheckResult]:
    """Run the checks one after another."""
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
        try:
            status, detail = "passed", check(trial)
        except Skipped as reason:
            status, detail = "skipped", str(reason)
        except (CheckFailed, NoMap) as error:
            status, detail = "failed", str(error)
            basic = results.get(trial.basic)
            if isinstance(error, NoMap) and basic is not None and basic.status in ("failed", "expected"):
                status, detail = "skipped", f"there is nothing legal to look at, see {trial.basic}"
        if name in expected and status == "failed":
            status, detail = "expected", f"{expected[name]} ({detail})"
        elif name in expected and status == "passed":
            status, detail = "failed", "it passes: remove the declaration of its failure"
        results[name] = CheckResult(name, status, detail, time.perf_counter() - start)
    return list(results.values())
