"""A metric that is held against the checks: how it is asked, and which of its answers are legal."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from xaibench.conformance.explainer_trial import NoMap, located
from xaibench.conformance.metric_subjects import asked, eye, method
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.score import Score
from xaibench.registry import MetricTraits, Spec
from xaibench.scorer import Scorer


@dataclass
class MetricTrial:
    """A metric that is held against the checks.

    Attributes:
        spec: the metric with its parameters.
        values: how many legal values it gave.
        scorers: one per case, so that what methods share is computed once.
    """

    basic: ClassVar[str] = "legal-values"  # what no other check can go without
    spec: Spec[MetricTraits]
    values: int = 0
    scorers: dict[str, Scorer] = field(default_factory=dict)

    @property
    def traits(self) -> MetricTraits:
        """What the metric declares about itself."""
        return self.spec.plugin.traits

    def score(
        self,
        map_: np.ndarray,
        *,
        case: Case | None = None,
        scorer: Scorer | None = None,
        by: Any = None,
        **parameters: Any,
    ) -> float:
        """The value for a map of the small eye, or of another case.

        Args:
            map_: (H, W).
            case: the small eye if None.
            scorer: one that the trial keeps if None.
            by: the method behind the map; an exact one if None.
            **parameters: of the metric.

        Raises:
            NoMap: if the metric raises, or its value is no number in its range.
            Skipped: if the metric says that there is no value.
        """
        case = case or eye()
        scorer = scorer or self.scorers.setdefault(case.id, asked(case))
        spec = self.spec.with_parameters(**parameters)
        try:
            score = spec(
                attribution=map_.copy(),
                case=case,
                scorer=scorer,
                rng=np.random.default_rng(5),
                method=method(by) if by else method(),
            )
        except Skipped:
            raise
        except Exception as error:  # a third party's metric may fail in any way at all
            raise NoMap(located(error)) from error
        return self.legal(score)

    def legal(self, score: Any) -> float:
        """The value of what a metric returned.

        Raises:
            NoMap: if it is no number in the declared range, or its curve is none.
        """
        low, high = self.traits.range
        if not isinstance(score, Score):
            raise NoMap(f"it returns {type(score).__name__}, not a Score")
        if not (isinstance(score.value, int | float) and math.isfinite(score.value)):
            raise NoMap(f"its value is {score.value!r}, not a finite number: raise Skipped where there is none")
        if not low <= score.value <= high:
            raise NoMap(f"its value {score.value:g} is outside the declared range from {low:g} to {high:g}")
        if score.curve is not None and len(score.curve[0]) != len(score.curve[1]):
            raise NoMap("the two halves of its curve are not of the same length")
        if not all(math.isfinite(value) for value in score.null):
            raise NoMap("a value that it gives as chance is not finite")
        self.values += 1
        return float(score.value)

    @property
    def quick(self) -> dict[str, Any]:
        """Parameters by which nothing of the definition changes but the noise of the fill goes away."""
        return {"fill": "blur"} if "fill" in self.spec.parameters and "fill" not in dict(self.spec.given) else {}

    def on_maps(self) -> None:
        """Skips a check of what happens as the map changes, for a metric that does not look at the map."""
        if self.traits.measures != "map":
            raise Skipped("it is not read off the map")
