"""What every registered explainer must do: a new one is tested by being registered."""

import tomllib
from pathlib import Path

import pytest
import torch
from made_up import cheap, target_on
from nets import MAKERS, make

from xaibench import registry
from xaibench.conformance import check_explainer, check_names
from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import explain
from xaibench.registry import Plugin, Spec
from xaibench.scorer import Scorer

EXPLAINERS, BROKEN = registry.available("explainer")
every = pytest.mark.parametrize("method", EXPLAINERS, ids=lambda p: p.name)
PROJECT = Path(__file__).parents[2] / "pyproject.toml"

LIGHTER = ("samples", "steps", "segments", "permutations")  # a third of these shows what a method does
WITHOUT_RELU = ("guided-backprop", "guided-gradcam", "deconvolution")


def test_all_registered_explainers_load() -> None:
    points = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]["xaibench.explainers"]
    names = {p.name for p in EXPLAINERS}
    assert BROKEN == {}
    assert set(points) <= names, "an entry point that is not installed yet: pip install -e ."
    assert len([p for p in EXPLAINERS if not p.traits.control]) >= 28
    assert len([p for p in EXPLAINERS if p.traits.control]) >= 9


@every
def test_it_declares_what_it_is(method: Plugin) -> None:
    assert method.summary.endswith(".") and method.family
    assert method.traits.control == (method.family == "control")
    assert method.traits.control or (method.traits.paper and not method.traits.sees_labels)
    assert registry.parse("explainer", method.name).plugin is method


@every
def test_it_conforms(method: Plugin) -> None:
    """The checks that ship for authors of plugins: shape, seed, micro-batch, state, evidence, labels, sign, quiet …"""
    third = {name: value // 3 for name, value in method.parameters.items() if name in LIGHTER}
    results = check_explainer(str(Spec(method, tuple(third.items()))), quick=True)
    assert [f"{r.name}: {r.detail}" for r in results if r.status == "failed"] == []
    # A check is skipped for one of two reasons: there is no GPU, or a control explains nothing.
    skipped = {r.name for r in results if r.status == "skipped"}
    assert skipped <= ({"gpu", "planted-evidence"} if method.traits.control else {"gpu"})
    assert tuple(r.name for r in results) == check_names(quick=True)


@every
@pytest.mark.parametrize("net", MAKERS)
def test_it_gives_a_legal_map_of_any_network_or_the_reason(method: Plugin, net: str, eye: Case) -> None:
    scorer = Scorer(make(net), target_on(eye))
    if net == "smooth" and method.name in WITHOUT_RELU:
        with pytest.raises(Skipped, match="no ReLU"):
            explain(scorer, eye.image, method=cheap(method))
        return
    map_ = explain(scorer, eye.image, method=cheap(method), case=eye)
    assert map_.shape == eye.fov.shape and map_.dtype == torch.float32 and torch.isfinite(map_).all()
    # The ReLU of class activation maps can leave nothing of random weights.
    may_be_flat = ("uniform", "scorecam") if net == "own" else ("uniform", "guided-gradcam")
    assert map_.std() > 0 or method.name in may_be_flat or (net != "own" and method.family == "cam")
    assert method.traits.signed or map_.min() >= 0


@every
def test_it_does_not_matter_whether_the_caller_has_gradients_off(method: Plugin, scorer: Scorer, eye: Case) -> None:
    """As captum has, where it asks for maps of changed images."""
    there = explain(scorer, eye.image, method=cheap(method), case=eye)
    with torch.no_grad():
        assert torch.equal(explain(scorer, eye.image, method=cheap(method), case=eye), there)
        assert not torch.is_grad_enabled()


COUNTS = ("samples", "steps", "permutations", "segments", "cell", "patch", "stride", "window")
WRONG = [(f"{m.name}[{p}=0]", f"{p}=0") for m in EXPLAINERS for p in COUNTS if p in m.parameters]
WRONG += [
    (f"{m.name}[{p}=no]", "'no'") for m in EXPLAINERS for p in ("baseline", "layer", "regions") if p in m.parameters
]
WRONG += [
    ("occlusion[patch=62]", "patch=62 is larger than the image, 70 × 61 px"),
    ("occlusion[patch=8,stride=9]", "stride=9 .* patch=8"),
    ("rise[samples=1]", "samples=1"),
    ("rise[keep=1.0]", "keep=1.0"),
    ("extremal[area=0.0]", "area=0.0"),
    ("kernel-shap[segments=10,samples=12]", "samples=12 cannot tell"),
    ("partition-shap[samples=3]", "samples=3"),
    ("lime[samples=1]", "samples=1"),
    ("smoothgrad[noise=-1]", "noise=-1"),
    ("lrp[epsilon=0]", "epsilon=0"),
]


@pytest.mark.parametrize(("method", "told"), WRONG)
def test_wrong_values_are_named(method: str, told: str, scorer: Scorer, eye: Case) -> None:
    with pytest.raises(UserError, match=told):
        explain(scorer, eye.image, method=method)
