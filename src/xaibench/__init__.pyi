from .data.case import Case, make_case
from .data.case_loader import load_cases
from .data.cases import Cases
from .data.io.image import load_image
from .errors import Skipped, UserError
from .explainers.explain import explain
from .metrics.score import Score
from .models.model_loader import load_model
from .registry.declare import dataset, explainer, metric, model
from .running.run import run
from .scorer.scorer import Scorer
from .scorer.target import Target, target

__all__ = [
    "Case",
    "Cases",
    "Score",
    "Scorer",
    "Skipped",
    "Target",
    "UserError",
    "dataset",
    "explain",
    "explainer",
    "load_cases",
    "load_image",
    "load_model",
    "make_case",
    "metric",
    "model",
    "run",
    "target",
]
