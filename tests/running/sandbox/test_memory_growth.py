from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_up import draw_eye, make_network
from torch import Tensor

from xaibench.data.cases import Cases
from xaibench.record.store import Store
from xaibench.registry import parse
from xaibench.running.execute import execute
from xaibench.running.plan import Setting
from xaibench.running.progress import Listener
from xaibench.running.resolve import Run
from xaibench.running.sandbox import memory_growth as leaks
from xaibench.scorer import Scorer

KEPT: list[np.ndarray] = []


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XAIBENCH_MEMORY", "0.4")  # GB, of which a quarter is what a process may grow by
    leaks._grown.clear()
    leaks._seen.clear()
    yield
    KEPT.clear()
    leaks._grown.clear()
    leaks._seen.clear()


def leaking(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    KEPT.append(np.ones(5_000_000))  # 40 MB
    return image[1]


def sparing(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    np.ones(5_000_000).sum()
    return image[1]


def test_a_method_that_keeps_memory_is_refused_before_it_takes_all(tmp_path: Path) -> None:
    cases = Cases("mine", "test", tuple("012345678"), lambda i: draw_eye(image_seed=int(i), id=i))
    setting = Setting("mine", "test", "net", "digest", "vessels", 0, (parse("metric", "auroc-vessels"),))
    store = Store(tmp_path)
    methods = [parse("explainer", m) for m in (sparing, leaking, "saliency")]
    execute(Run(cases, methods, make_network(), setting, store), Listener())
    records = {(r.spec, r.case): r for r in store.records()}
    refused = [case for case in cases.ids if records["leaking", case].status == "failed"]
    assert 2 <= len(KEPT) <= 5 and refused == list(cases.ids[len(KEPT) :])
    assert records["leaking", "8"].reason.startswith("KeepsMemory: it has kept 1")
    assert all(r.status == "ok" for r in records.values() if r.spec != "leaking")
    KEPT.clear()
    leaks._seen.clear()  # as in a new process
    leaks._grown.clear()
    execute(Run(cases, methods, make_network(), setting, store), Listener())
    assert sum(r.status == "failed" for r in store.records()) < len(refused)
