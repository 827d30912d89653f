"""Every registered metric passes the checks that ship; a new one is tested by being registered."""

import re

import pytest

from xaibench import registry
from xaibench.conformance import check_metric

NAMES = registry.names("metric")
SMALLER = {"shapley-error": "shapley-error[window=24]"}  # 4096 passes each time, of a smaller window
PARTS = ("vessels", "thin", "thick")
SPECIFIED = {
    *("deletion", "insertion", "srg", "srg-thin", "srg-thick", "dice-deletion", "infidelity"),
    *("faithfulness-correlation", "irof"),
    *(f"{stem}-{part}" for stem in ("auroc", "ap", "mass", "lift", "rank", "pointing") for part in PARTS),
    *("thin-gap", "thin-gap-matched", "caliber-response", "contrast-response", "fp-lift", "context"),
    *("max-sensitivity", "mprt", "target-sensitivity", "sparseness", "entropy", "effective-complexity"),
    *("completeness", "seconds", "passes", "peak-mb", "planted", "shapley-error", "shortcut"),
}


def test_every_metric_of_the_specification_is_there() -> None:
    assert set(NAMES) >= SPECIFIED


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_every_check(name: str) -> None:
    failed = {r.name: r.detail for r in check_metric(SMALLER.get(name, name)) if r.status == "failed"}
    assert not failed


@pytest.mark.parametrize("name", NAMES)
def test_its_paper_stands_in_its_sentence(name: str) -> None:
    plugin = registry.get("metric", name)
    if paper := plugin.traits.paper:
        assert re.search(rf"\[{paper}\b", plugin.function.__doc__ or "")
