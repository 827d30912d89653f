"""A network is told from another one with the same weights by what it does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from made_up import GreenFilter
from torch import Tensor

from xaibench.errors import UserError
from xaibench.leaderboard.comparable import open_comparable
from xaibench.record import Store
from xaibench.running.run import run

SMALL: dict[str, Any] = {"data": "phantom[size=128]", "cases": 1, "metrics": ["passes"]}


class Scaled(torch.nn.Module):
    """Its factor is no weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.net, self.factor = GreenFilter(0.4, 8.0), factor

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.factor * self.net(images)
        return logits


def statuses(factor: float, out: Path) -> set[str]:
    """Of the cells of a run on this network, the one that lacks a second observer aside."""
    found: list[str] = []
    run(["saliency"], model=Scaled(factor), out=out, report=lambda e: found.append(e.status), **SMALL)
    return set(found) - {"skipped"}


@pytest.mark.filterwarnings("error")
def test_a_network_that_does_something_else_resumes_nothing(tmp_path: Path) -> None:
    assert statuses(1, tmp_path) == {"ok"} and statuses(1 + 1e-6, tmp_path) == {"kept"}  # rounding is no difference
    with pytest.warns(UserWarning, match="Scaled has the weights of a network whose scores are in .*other logits"):
        assert statuses(0.5, tmp_path) == {"ok"}
    assert statuses(0.5, tmp_path) == statuses(1, tmp_path) == {"kept"}
    assert {r.weights_digest.partition("-")[2] for r in Store(tmp_path).records()} == {"", "2"}


def test_runs_of_two_such_networks_are_not_compared(tmp_path: Path) -> None:
    for name, factor in (("a", 1), ("b", 0.5), ("c", 1)):
        statuses(factor, tmp_path / name)
    assert len(open_comparable([str(tmp_path / "a"), str(tmp_path / "c")])) == 2
    with pytest.raises(
        UserError, match=r"b cannot be compared .* its network Scaled has their weights, but gives other"
    ):
        open_comparable([str(tmp_path / "a"), str(tmp_path / "b")])
