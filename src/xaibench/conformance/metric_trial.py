"""A metric on trial: calls it as a run does, and tells which of its values are legal."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from xaibench.conformance.metric_subjects import EXPLAINER, GOOD, eye, maps, method, scorer_for
from xaibench.conformance.trial import NoMap, Trial, running, skip_if
from xaibench.data.case import Case
from xaibench.explainers.explain import Method
from xaibench.metrics.score import Score
from xaibench.registry import MetricTraits
from xaibench.registry.injection import Parameters
from xaibench.scorer import Scorer


@dataclass
class MetricTrial(Trial[MetricTraits]):
    """A metric and what the checks found so far.

    Attributes:
        scorers: one per case, so that what methods share is computed once.
    """

    basic: ClassVar[str] = "legal-values"
    gives: ClassVar[str] = "value"
    scorers: dict[str, Scorer] = field(default_factory=dict)

    def score(
        self,
        map_: np.ndarray | str = GOOD,
        *,
        case: Case | None = None,
        scorer: Scorer | None = None,
        by: Method = EXPLAINER,
        **parameters: object,
    ) -> float:
        """The value for a map of the small eye, or of another case.

        Args:
            map_: (H, W), or the name of one of :func:`~xaibench.conformance.metric_subjects.maps`.
            case: the small eye if None.
            scorer: the trial's own for the case if None.
            by: the method behind the map, by default an exact one.
            **parameters: of the metric.

        Raises:
            NoMap: if the metric raises, or its value is no number in its range.
            Skipped: if the metric has no value here.
        """
        case = case or eye()
        arguments = {
            "attribution": (maps()[map_] if isinstance(map_, str) else map_).copy(),
            "case": case,
            "scorer": scorer or self.scorers.setdefault(case.id, scorer_for(case)),
            "rng": np.random.default_rng(5),
            "method": method(by),
        }
        with running():
            score = self.spec.with_parameters(**parameters)(**arguments)
        return self.legal(score)

    def legal(self, score: object) -> float:
        """The value of what a metric returned.

        Raises:
            NoMap: if it is no number in the declared range, or its curve is none.
        """
        low, high = self.traits.range
        if not isinstance(score, Score):
            raise NoMap(f"it returns {type(score).__name__}, not a Score")
        value = score.value
        if not (isinstance(value, int | float) and math.isfinite(value)):
            raise NoMap(f"its value is {value!r}, not a finite number: raise Skipped where there is none")
        if not low <= value <= high:
            raise NoMap(f"its value {value:g} is outside the declared range from {low:g} to {high:g}")
        if score.curve is not None and len(score.curve[0]) != len(score.curve[1]):
            raise NoMap("the two halves of its curve are not of the same length")
        if not all(map(math.isfinite, score.null)):
            raise NoMap("a value that it gives as chance is not finite")
        self.count += 1
        return float(value)

    @property
    def quick(self) -> Parameters:
        """Parameters that take the noise of the fill away and leave the definition as it is."""
        return {"fill": "blur"} if "fill" in self.spec.parameters and "fill" not in dict(self.spec.given) else {}

    def skip_without_map(self) -> None:
        """Skip a check that changes the map, for a metric that does not look at the map."""
        skip_if(self.traits.measures != "map", "it is not read off the map")

    def skip_cost(self) -> None:
        """Skip a check that needs a map or a method, for a metric of the cost."""
        skip_if(self.traits.measures == "cost", "it is read off the computation, not off a map")

    def mask_part(self) -> str:
        """The labels that the map is compared with; a metric that compares it with none skips the check."""
        skip_if(not self.traits.mask, "it compares the map with no mask of labels")
        return self.traits.mask
