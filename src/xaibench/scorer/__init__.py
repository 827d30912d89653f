"""A network and a set of pixels, seen as an ordinary one-output classifier."""

from xaibench.scorer.scorer import Scorer
from xaibench.scorer.target import TARGETS, Target, target

__all__ = ["TARGETS", "Scorer", "Target", "target"]
