from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_up import make_network
from torch import Tensor

from running.bench import Bench, eyes
from xaibench.record.store import Store
from xaibench.running.sandbox import memory_growth as leaks
from xaibench.scorer import Scorer

KEPT: list[np.ndarray] = []


def as_in_a_new_process() -> None:
    for memory in (KEPT, leaks._grown, leaks._seen):
        memory.clear()


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XAIBENCH_MEMORY", "0.4")  # GB, of which a quarter is what a process may grow by
    as_in_a_new_process()
    yield
    as_in_a_new_process()


def leaking(scorer: Scorer, image: Tensor) -> Tensor:
    KEPT.append(np.ones(5_000_000))  # 40 MB
    return image[1]


def sparing(scorer: Scorer, image: Tensor) -> Tensor:
    np.ones(5_000_000).sum()
    return image[1]


def test_a_method_that_keeps_memory_is_refused_before_it_takes_all(tmp_path: Path) -> None:
    bench = Bench(Store(tmp_path), model=make_network(), cases=eyes("012345678"))
    bench(sparing, leaking, "saliency")
    records, cases = bench.records(), bench.cases
    refused = [case for case in cases.ids if records["leaking", case].status == "failed"]
    assert 2 <= len(KEPT) <= 5 and refused == list(cases.ids[len(KEPT) :])
    assert records["leaking", "8"].reason.startswith("KeepsMemory: it has kept 1")
    assert all(r.status == "ok" for r in records.values() if r.spec != "leaking")
    as_in_a_new_process()
    bench(sparing, leaking, "saliency")
    assert bench.statuses().count("failed") < len(refused)
