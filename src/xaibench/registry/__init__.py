"""The registry: names to explainers, metrics, datasets and models, through entry points; it loads no PyTorch.

A plugin is a decorated function. It is given the arguments that its signature names, such as ``scorer`` or ``rng``
(:mod:`~xaibench.registry.injection`). Its other parameters are hyper-parameters, which the command line, the record's
key and the documentation read from the signature.
"""

from xaibench.registry.declare import dataset, explainer, metric, model
from xaibench.registry.entry_points import KINDS, names, registered
from xaibench.registry.lookup import available, dataset_traits, get
from xaibench.registry.parsing import parse
from xaibench.registry.plugin import Plugin, Spec
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
    "dataset_traits",
    "explainer",
    "get",
    "metric",
    "model",
    "names",
    "parse",
    "registered",
]
