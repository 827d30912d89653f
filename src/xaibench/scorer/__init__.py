"""A network and a target as a function with one output, and the passes behind it."""

from xaibench.scorer.scorer import Scorer
from xaibench.scorer.target import Target, target
from xaibench.vocabulary import TARGETS

__all__ = ["TARGETS", "Scorer", "Target", "target"]
