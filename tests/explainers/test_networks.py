"""Every explainer on networks that know nothing of this project: a legal map, or the reason why there is none."""

from __future__ import annotations

import pytest
import torch
from made_up import cheap, target_on
from nets import make

from xaibench import registry
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.explainers.explain import explain
from xaibench.registry import Plugin
from xaibench.scorer import Scorer

METHODS = [p for p in registry.available("explainer")[0] if not p.traits.control]

# What a method cannot do by its nature, and the words in which it says so.
SKIPPED = {
    ("smooth", "guided-backprop"): "no ReLU",
    ("smooth", "guided-gradcam"): "no ReLU",
    ("smooth", "deconvolution"): "no ReLU",
}


@pytest.mark.parametrize("net", ["plain", "pooling", "smooth", "attention-unet", "segresnet"])
@pytest.mark.parametrize("method", METHODS, ids=lambda p: p.name)
def test_a_legal_map_or_the_reason(method: Plugin, net: str, eye: Case) -> None:
    scorer = Scorer(make(net), target_on(eye))
    told = SKIPPED.get((net, method.name))
    if told:
        with pytest.raises(Skipped, match=told):
            explain(scorer, eye.image, method=cheap(method))
        return
    map_ = explain(scorer, eye.image, method=cheap(method))
    assert map_.shape == eye.fov.shape and torch.isfinite(map_).all()
    # The ReLU of class activation maps can leave nothing of random weights.
    assert map_.abs().max() > 0 or method.family == "cam" or method.name == "guided-gradcam"
    if not method.traits.signed:
        assert map_.min() >= 0
