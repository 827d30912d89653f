"""Running the checks on a plugin."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xaibench.conformance.explainer_checks import CHECKS
from xaibench.conformance.explainer_trial import ExplainerTrial, Limits
from xaibench.conformance.metric_checks import METRIC_CHECKS
from xaibench.conformance.metric_trial import MetricTrial
from xaibench.conformance.trial import Check, CheckFailed, NoMap, Trial
from xaibench.errors import Skipped, UserError
from xaibench.registry import Plugin, Spec, parse
from xaibench.registry.injection import Function


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
    return tuple(name for name in CHECKS if not (quick and name == "cost"))


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
    return _run(ExplainerTrial(spec, limits=limits), CHECKS, check_names(quick), expected_failures, progress)


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
    return _run(MetricTrial(spec), METRIC_CHECKS, METRIC_CHECKS, expected_failures, progress)


def _run(
    trial: Trial[Any],
    checks: Mapping[str, Check],
    names: Iterable[str],
    expected_failures: Mapping[str, str] | None,
    progress: Callable[[str], None] | None,
) -> list[CheckResult]:
    """Run the checks of these names one after another."""
    expected = {**trial.traits.known_failures, **(expected_failures or {})}
    for name in expected:
        if name not in checks:
            raise UserError(
                f"{trial.spec} is expected to fail a check {name!r}, which does not exist.",
                f"The checks are {', '.join(checks)}.",
            )
    results = dict[str, CheckResult]()
    for name in names:
        if progress is not None:
            progress(name)
        start = time.perf_counter()
        try:
            status, detail = "passed", checks[name](trial)
        except Skipped as reason:
            status, detail = "skipped", str(reason)
        except CheckFailed as error:
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
