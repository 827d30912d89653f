import time
from pathlib import Path

import numpy as np
import pytest
import torch

from xaibench.data.case import Case
from xaibench.metrics.cost import Cost, measured, passes, peak_mb, seconds
from xaibench.scorer import Scorer


def test_seconds_and_passes_are_those_of_the_block(scorer: Scorer, eye: Case) -> None:
    scorer.probability(eye.image[None])
    with measured(scorer) as cost:
        scorer.probability(torch.stack([eye.image] * 3))
        time.sleep(0.05)
    scorer.probability(eye.image[None])
    assert cost.passes == 3
    assert 0.05 <= cost.seconds < 5


@pytest.mark.parametrize("kept_by_the_system", [True, False])
@pytest.mark.parametrize("megabytes", [40, 120])
def test_peak_memory_is_what_was_taken_at_once(
    scorer: Scorer, megabytes: int, kept_by_the_system: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not kept_by_the_system:
        monkeypatch.setattr("xaibench.metrics.cost._RESET", tmp_path / "no" / "clear_refs")
    with measured(scorer) as cost:
        for _ in range(3):  # one after the other, never two
            block = np.ones(megabytes * 10**6 // 8)
            time.sleep(0.01)
            del block
    assert 0.9 * megabytes < cost.peak_mb < 1.6 * megabytes


def test_memory_that_was_there_before_does_not_count(scorer: Scorer) -> None:
    before = np.ones(10**7)
    with measured(scorer) as cost:
        float(before.sum())
    assert 0 <= cost.peak_mb < 30


def test_what_failed_is_measured_too(scorer: Scorer, eye: Case) -> None:
    with pytest.raises(ZeroDivisionError), measured(scorer) as cost:
        scorer.probability(eye.image[None])
        raise ZeroDivisionError
    assert cost.passes == 1 and cost.seconds > 0 and cost.peak_mb >= 0


def test_the_metrics_read_it_off() -> None:
    cost = Cost(1.5, 7, 20.25)
    assert [m(cost).value for m in (seconds, passes, peak_mb)] == [1.5, 7.0, 20.25]
    for metric in (seconds, passes, peak_mb):
        assert metric.traits.measures == "cost" and metric.traits.better == "lower"
