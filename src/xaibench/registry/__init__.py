"""Names to explainers, metrics, datasets and models, through entry points; imports nothing but the standard library.

A plugin is a function under a decorator. Its keyword-only parameters are its hyper-parameters: the command line, the
record's key and the documentation all read them from the signature.
"""

from xaibench.registry.declare import dataset, explainer, metric, model
from xaibench.registry.entry_points import KINDS, names, registered
from xaibench.registry.lookup import available, get
from xaibench.registry.parsing import parse
from xaibench.registry.plugin import Plugin, Spec, takes_method
from xaibench.registry.traits import DatasetTraits, ExplainerTraits, MetricTraits, ModelTraits

__all__ = [
    "KINDS",
    "DatasetTraits",
    "ExplainerTraits",
    "MetricTraits",
    "ModelTraits",
    "Plugin",
    "Spec",
    "available",
    "dataset",
    "explainer",
    "get",
    "metric",
    "model",
    "names",
    "parse",
    "registered",
    "takes_method",
]
