"""Every registered explainer passes the checks that ship for authors of plugins; to be registered is to be checked."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from xaibench import registry
from xaibench.conformance import check_explainer, check_names

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
CHECKED = registry.names("explainer")

# Methods that ask for hundreds of passes, with as few as show what they do; `xaibench check` runs them as they are.
LIGHTER = {
    "deep-shap": "samples=2",
    "expected-gradients": "samples=10",
    "extremal": "steps=30",
    "feature-ablation": "segments=60",
    "integrated-gradients": "steps=10",
    "kernel-shap": "segments=20,samples=100",
    "lime": "segments=20,samples=80",
    "partition-shap": "samples=120",
    "rise": "samples=100",
    "shapley-sampling": "segments=20,permutations=3",
    "smoothgrad": "samples=5",
    "smoothgrad-squared": "samples=5",
}


@pytest.mark.parametrize("name", CHECKED)
def test_it_conforms(name: str) -> None:
    spec = f"{name}[{LIGHTER[name]}]" if name in LIGHTER else name
    results = check_explainer(spec, quick=True)
    assert [f"{r.name}: {r.detail}" for r in results if r.status == "failed"] == []
    # What was not looked at has one of two reasons: there is no GPU, or a control explains nothing.
    control = registry.get("explainer", name).traits.control
    skipped = {r.name for r in results if r.status == "skipped"}
    assert skipped <= ({"gpu", "planted-evidence"} if control else {"gpu"})
    assert tuple(r.name for r in results) == check_names(quick=True)


def test_no_explainer_of_the_package_goes_unchecked() -> None:
    points = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]["xaibench.explainers"]
    assert set(points) <= set(CHECKED), "an entry point that is not installed yet: pip install -e ."
    assert set(LIGHTER) <= set(CHECKED)
