"""A network is told from another one with the same weights by what it does."""

from pathlib import Path
from typing import Any

import pytest
from made_up import GreenFilter
from nets import Function
from torch.nn import functional

from xaibench.errors import UserError
from xaibench.leaderboard.comparable import open_comparable
from xaibench.record import Store
from xaibench.running.run import run

SMALL: dict[str, Any] = {"data": "phantom[size=128]", "cases": 1, "metrics": ["passes"]}


def statuses(factor: float, out: Path) -> set[str]:
    """Of the cells of a run on this network, the one that lacks a second observer aside."""
    found: list[str] = []
    model = Function(lambda self, images: factor * self.net(images), net=GreenFilter(0.4, 8.0))  # it is no weight
    run(["saliency"], model=model, out=out, report=lambda e: found.append(e.status), **SMALL)
    return set(found) - {"skipped"}


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_network_that_does_something_else_resumes_nothing(tmp_path: Path) -> None:
    assert statuses(1, tmp_path) == {"ok"} and statuses(1 + 1e-6, tmp_path) == {"kept"}  # rounding is no difference
    with pytest.warns(UserWarning, match="Function has the weights of a network whose scores are in .*other logits"):
        assert statuses(0.5, tmp_path) == {"ok"}
    assert statuses(0.5, tmp_path) == statuses(1, tmp_path) == {"kept"}
    assert {r.weights_digest.partition("-")[2] for r in Store(tmp_path).records()} == {"", "2"}


def test_runs_of_two_such_networks_are_not_compared(tmp_path: Path) -> None:
    for name, factor in (("a", 1), ("b", 0.5), ("c", 1)):
        statuses(factor, tmp_path / name)
    assert len(open_comparable([str(tmp_path / "a"), str(tmp_path / "c")])) == 2
    with pytest.raises(
        UserError, match=r"b cannot be compared .* its network Function has their weights, but gives other"
    ):
        open_comparable([str(tmp_path / "a"), str(tmp_path / "b")])


def test_a_network_that_draws_random_numbers_is_refused(tmp_path: Path) -> None:
    draws = Function(lambda self, images: functional.dropout(self.net(images)), net=GreenFilter(0.4, 8.0))
    with pytest.raises(UserError, match=r"Function gives other logits each time for the same image\. Turn off"):
        run(["saliency"], model=draws, out=tmp_path, **SMALL)
