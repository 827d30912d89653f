"""The explainer behind a map, for metrics that need further maps of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from xaibench.data.case import Case
from xaibench.registry import Spec
from xaibench.scorer import Scorer
from xaibench.scorer import target as target_of
from xaibench.vocabulary import REFERENCES


@dataclass(frozen=True, eq=False)
class Method:
    """An explainer with its parameters and the run's seed, ready to explain something else.

    Attributes:
        spec: the method and the parameters that were given.
        maker: makes a map: ``(scorer, image, spec, case) -> (H, W)`` tensor.
    """

    spec: Spec
    maker: Callable[[Scorer, Tensor, Spec, Case], Tensor]

    @property
    def baseline(self) -> str:
        """The reference that its map is relative to, see :mod:`xaibench.data.baseline`; ``"blur"`` if it has none."""
        given = str(self.spec.parameters.get("baseline", "blur"))
        return given if given in REFERENCES else "blur"

    def __call__(self, scorer: Scorer, case: Case, image: Tensor | None = None, **parameters: object) -> np.ndarray:
        """(H, W) float32 map of another network, target or image; random numbers come from the same seed.

        Args:
            scorer: network and target.
            case: whose image is explained; controls that see labels read them there.
            image: (3, H, W), explained instead of the case's.
            **parameters: instead of those that the method was given.

        Raises:
            Skipped: if the method cannot work on this network or target.
        """
        spec = self.spec.with_parameters(**parameters)
        return np.asarray(self.maker(scorer, case.image if image is None else image, spec, case).numpy(), np.float32)

    def about(self, scorer: Scorer, case: Case, target: str) -> tuple[Scorer, np.ndarray]:
        """The scorer of the same network for another target of this case, and the method's map for it.

        Both are kept with the first scorer, since several metrics ask for the same.

        Raises:
            Skipped: if that target is empty, or the method cannot work on it.
        """
        other = scorer_about(scorer, case, target)
        return other, scorer.cache.get(self, other, case)


def scorer_about(scorer: Scorer, case: Case, target: str) -> Scorer:
    """The scorer of the same network for another target of this case; made once, and kept with the first.

    Raises:
        Skipped: if that target is empty.
    """
    return scorer.cache.get(_scorer_for, scorer, case, target)


def _scorer_for(scorer: Scorer, case: Case, target: str) -> Scorer:
    return scorer.for_target(target_of(target, scorer.model, case, prediction=scorer.target.prediction))
