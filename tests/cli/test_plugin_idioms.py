"""Plugins in the idioms that authors use run and pass the checks as they are."""

from pathlib import Path

import numpy as np
import pytest

from cli import idioms
from cli.idioms import PLUGINS, SAME
from cli.said import Register, Run
from xaibench.record import Store
from xaibench.registry import Plugin


@pytest.fixture
def registered(register_plugin: Register) -> None:
    attributes = {value.name: name for name, value in vars(idioms).items() if isinstance(value, Plugin)}
    for name, attribute in attributes.items():
        register_plugin(name, f"cli.idioms:{attribute}")


@pytest.mark.usefixtures("registered")
def test_every_idiom_runs(xaibench: Run, weights: Path) -> None:
    run = ("--data", "phantom[size=128]", "--cases", "1", "--model", str(weights), "--metric", "auroc-vessels")
    said = xaibench("run", "-q", *run, "--out", "out", "--method", *PLUGINS)
    store = Store("out")
    records = {r.spec: r for r in store.records() if r.spec in PLUGINS}
    assert said.code == 0 and {n: r.reason for n, r in records.items()} == dict.fromkeys(PLUGINS, "")
    maps = {name: store.load_map(record) for name, record in records.items()}
    assert all(map_ is not None and np.ptp(map_) > 0 for map_ in maps.values())
    for name in SAME:
        np.testing.assert_allclose(maps[name], maps["autograd-grad"], rtol=2e-3, atol=1e-7, err_msg=name)
    assert xaibench("run", "-q", *run, "--out", "out", "--method", *PLUGINS).code == 0
    assert {r.spec: r for r in store.records() if r.spec in PLUGINS} == records  # kept, not computed anew


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("name", PLUGINS)
def test_every_idiom_passes_the_checks(xaibench: Run, name: str) -> None:
    said = xaibench("check", "--quick", name)
    assert said.code == 0, said.out
