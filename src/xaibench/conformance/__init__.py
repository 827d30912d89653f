"""Checks that ship with the package: what every plugin must do, for those who write one."""

from xaibench.conformance.check import CheckResult, check_explainer, check_metric, check_names
from xaibench.conformance.explainer_trial import Limits

__all__ = ["CheckResult", "Limits", "check_explainer", "check_metric", "check_names"]
