import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from distributed import Client, Status, Worker, get_worker
from faults import wait_for
from made_up import make_network
from torch import Tensor

from running.bench import Bench, eyes, own_metric
from running.by_hand import ByHand
from xaibench.errors import UserError
from xaibench.explainers.explain import explain
from xaibench.record.store import Store
from xaibench.running.cluster import Cluster
from xaibench.running.dask import submit, workers
from xaibench.running.events import Step
from xaibench.running.threads import computing_with
from xaibench.scorer import Scorer

METRICS = ("auroc-vessels", "srg[fill=mean,steps=4]", "passes", "seconds", "peak-mb")
ONE = eyes("0")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    """A scheduler and two workers of 1.6 GB each with their nannies; PyTorch built for GPUs takes half of it."""
    with pytest.MonkeyPatch.context() as patch:
        # Each attempt takes as long as a process takes to start: two are enough.
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
        hand = ByHand(tmp_path_factory.mktemp("by-hand"))
    with closing(hand):
        for _ in range(2):
            hand.worker("--memory-limit", "1600 MB")
        yield hand


@pytest.fixture
def bench(tmp_path: Path, there: ByHand) -> Bench:
    return Bench(Store(tmp_path / "there"), METRICS, cluster=Cluster(scheduler=there.address))


@pytest.fixture
def alone(bench: Bench) -> Bench:
    """The same in this process."""
    return bench.beside("here", cluster=None)


def green(scorer: Scorer, image: Tensor) -> Tensor:
    return 1 - image[1]


def hangs(scorer: Scorer, image: Tensor) -> Tensor:
    while True:
        time.sleep(1)


def slow(pids: Path, seconds: float) -> Callable[..., Tensor]:
    """A method that takes its time and notes its processes."""

    def slowly(scorer: Scorer, image: Tensor) -> Tensor:
        with pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(seconds)
        return 1 - image[1]

    return slowly


def test_workers_give_the_bits_of_one_process(bench: Bench, alone: Bench) -> None:
    """Also where they compute with several threads, which gives other bits than one thread does."""

    def by_chance(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
        noise = torch.from_numpy(rng.normal(0, 0.1, (4, 1, *image.shape[1:])).astype(np.float32))
        return torch.stack([image + n for n in noise]).var(0).mean(0) * scorer(image[None]) + torch.rand(1)

    methods = ("gradcam[layer=bottleneck]", "saliency")
    metrics = (*METRICS, "target-sensitivity", "sparseness")
    with computing_with(2):
        for each in (alone, bench):
            each.model = make_network()
            assert each(*methods, by_chance, metrics=metrics, cases=ONE) == 0
    assert len(alone.records()) == 3
    assert bench.content() == alone.content()
    assert sorted(e.done for e in bench.events) == list(range(1, 4)) and {e.total for e in bench.events} == {3}
    assert set(bench.statuses()) == {"ok"}


def test_what_is_kept_is_not_sent(bench: Bench) -> None:
    assert bench(green) == 0
    bench.cluster = Cluster(scheduler="tcp://127.0.0.1:9")  # where nobody answers
    assert bench(green) == 0
    assert set(bench.statuses()) == {"kept"}


def test_a_run_leaves_nothing_on_workers_of_others(bench: Bench, there: ByHand) -> None:
    def held() -> bool:
        from xaibench.running.dask import worker

        return bool(worker._sessions)

    assert bench(green) == 0
    with Client(there.address, set_as_default=False) as client:
        wait_for(lambda: not any(client.run(held).values()), 30)
    assert "Combination not supported" not in there.log()


def test_a_further_metric_needs_no_new_map(bench: Bench, alone: Bench, tmp_path: Path) -> None:
    calls = tmp_path / "calls"

    def counted(scorer: Scorer, image: Tensor) -> Tensor:
        with calls.open("a") as file:
            file.write("x")
        return 1 - image[1]

    assert bench(counted, metrics=["auroc-vessels"]) == 0
    assert bench(counted) == 0
    assert calls.read_text() == "xx"
    assert alone(counted) == 0
    assert bench.content() == alone.content()
    assert bench(counted, force=True) == 0
    assert calls.read_text() == "x" * 6


def test_an_image_goes_to_a_worker_once_and_so_does_the_network(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are put into the scheduler's metadata, and each worker loads them for its first cell."""
    sent: list[Any] = []
    real = Client.set_metadata
    monkeypatch.setattr(
        Client, "set_metadata", lambda self, key, value: (sent.append(key[-1]), real(self, key, value))[1]
    )
    assert bench(green, "random", "uniform", "sobel") == 0
    content = [name for name in sent if name in ("job", 0, 1)]
    assert sorted(content, key=str) == [0, 0, 1, 1, "job"]  # an image twice: sent, and removed


def test_progress_is_told_of(bench: Bench) -> None:
    def slow(scorer: Scorer, image: Tensor) -> Tensor:
        for _ in range(6):
            scorer(image[None])
            time.sleep(0.2)
        return 1 - image[1]

    steps: list[Step] = []
    assert bench(slow, cases=ONE, metrics=["passes"], watch=steps.append) == 0
    assert {s.cell for s in steps} == {"slow on 0"}
    of_map = [s.passes for s in steps if s.part == "map"]
    assert of_map[0] == 0 and of_map == sorted(of_map) and 1 < max(of_map) <= 6


def test_a_method_may_fail_or_end_its_process(bench: Bench, alone: Bench) -> None:
    def leaves(scorer: Scorer, image: Tensor) -> Tensor:
        sys.exit("enough")

    def fails(scorer: Scorer, image: Tensor) -> Tensor:
        raise RuntimeError("no map today")

    assert bench(leaves, fails, green) == 4
    for eye in ("0", "1"):
        left, failed, fine = (bench.records()[m, eye] for m in ("leaves", "fails", "green"))
        assert left.status == "failed" and "SystemExit" in left.reason and "enough" in left.reason
        assert failed.status == "failed" and failed.reason == "RuntimeError: no map today"
        assert fine.status == "ok" and all(s.status == "ok" for s in fine.scores)
    assert any("no map today" in e.trace for e in bench.events)
    with pytest.raises(RuntimeError, match="no map today"):
        bench(fails, fail_fast=True)


def test_a_cell_whose_worker_is_killed_is_computed_elsewhere(bench: Bench, alone: Bench, tmp_path: Path) -> None:
    began = tmp_path / "began"

    def killed(scorer: Scorer, image: Tensor) -> Tensor:
        if not began.exists():
            began.write_text(str(os.getpid()))
            time.sleep(60)
        return 1 - image[1]

    def kill() -> None:
        wait_for(lambda: began.exists() and began.read_text())
        os.kill(int(began.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    start = time.monotonic()
    assert bench(killed, green, "random") == 0
    killer.join()
    assert time.monotonic() - start < 50  # it did not wait until the end
    assert alone(killed, green, "random") == 0
    assert bench.content() == alone.content()


def test_a_cell_that_always_kills_its_worker_has_failed(
    bench: Bench, alone: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ATTEMPTS", 2)
    tried = tmp_path / "tried"

    def deadly(scorer: Scorer, image: Tensor) -> Tensor:
        with tried.open("a") as file:
            file.write("x")
        os._exit(7)

    assert bench(deadly, green, "random", cases=ONE) == 1
    assert tried.read_text() == "xx"
    record = bench.records()["deadly", "0"]
    assert record.status == "failed" and "ended at each of 2 attempts" in record.reason
    assert alone(green, "random", cases=ONE) == 0
    there, here = bench.content(), alone.content()
    assert {key: there[key] for key in here} == here


def test_a_cell_that_takes_all_memory_has_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "ATTEMPTS", 2)

    def leaks(scorer: Scorer, image: Tensor) -> Tensor:
        held = []
        for _ in range(200):  # 4 GB, were it let
            held.append(np.ones(2_500_000))
            time.sleep(0.01)
        return 1 - image[1]

    assert bench(leaks, green, cases=ONE) == 1
    record = bench.records()["leaks", "0"]
    assert record.status == "failed" and "ran out of memory at each of 2 attempts" in record.reason
    assert "1.6 GB" in record.reason and bench.records()["green", "0"].status == "ok"


def test_a_cell_that_hangs_is_ended(bench: Bench, alone: Bench) -> None:
    start = time.monotonic()
    assert bench(hangs, green, "random", timeout=3.0) == 2
    assert time.monotonic() - start < 60
    assert alone(hangs, green, "random", timeout=1.0) == 2  # the same, by a signal
    for found, seconds in ((bench, 3), (alone, 1)):
        record = found.records()["hangs", "0"]
        assert record.status == "failed" and record.reason == f"it took longer than {seconds} s (--timeout)"
        assert found.records()["green", "1"].status == "ok"
    there, here = ({k: v for k, v in found.content().items() if v[0].method != "hangs"} for found in (bench, alone))
    assert there == here and len(there) == 4


def test_a_metric_that_hangs_costs_no_kept_map(bench: Bench) -> None:
    hanging = own_metric("hanging", lambda *_: time.sleep(60))
    assert bench(green, cases=ONE) == 0
    before = bench.records()["green", "0"]
    assert bench(green, cases=ONE, metrics=[*METRICS, hanging], timeout=2.0) == 1
    after = bench.records()["green", "0"]
    assert after.status == "ok" and [s for s in after.scores if s.metric != "hanging"] == before.scores
    (failed,) = (s for s in after.scores if s.metric == "hanging")
    assert failed.status == "failed" and "longer than 2 s" in failed.reason


def test_cells_that_wait_on_a_paused_worker_are_computed_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker is paused, so that both cells go to the second, which is paused with one of them."""
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE", "False")  # Dask pauses none by itself
    told: list[str] = []

    def status(name: str, dask_worker: Worker) -> None:
        dask_worker.status = Status[name]

    def pauses(scorer: Scorer, image: Tensor) -> Tensor:
        time.sleep(1)
        get_worker().status = Status.paused
        return 1 - image[1]

    def say(sentence: str) -> None:
        if "Dask has paused the worker" in sentence:
            told.append(sentence)
        if len(told) == 2:
            client.run(partial(status, "running"), workers=[first])

    with closing(ByHand(tmp_path)) as hand, Client(hand.address, set_as_default=False) as client:
        for _ in range(2):
            hand.worker("--memory-limit", "4 GB")
        client.wait_for_workers(2)
        first = next(iter(client.scheduler_info()["workers"]))
        client.run(partial(status, "paused"), workers=[first])
        bench = Bench(Store(tmp_path / "there"), METRICS, cluster=Cluster(scheduler=hand.address), say=say)
        assert bench(pauses, green, cases=ONE) == 0
    assert len(told) == 2 and "4.0 GB" in told[0]


def test_another_version_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = workers.version
    monkeypatch.setattr(workers, "version", lambda package: "9.9" if package == "torch" else real(package))
    with pytest.raises(UserError, match=rf"has torch {re.escape(real('torch'))}, and here it is 9\.9\."):
        bench(green)


def test_what_cannot_be_read_on_a_worker_is_said(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return x[:, :1]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    bench.model = only_here.Net()
    with pytest.raises(UserError, match=r"cannot be read on a worker: ModuleNotFoundError.* 'only_here'"):
        bench(green)


def test_what_cannot_be_sent_is_said(bench: Bench) -> None:
    lock = threading.Lock()

    def locked(scorer: Scorer, image: Tensor) -> Tensor:
        with lock:
            return 1 - image[1]

    with pytest.raises(UserError, match="cannot be sent to a worker"):
        bench(locked)


def test_a_method_asked_for_what_there_is_not_ends_the_run_as_in_one_process(bench: Bench) -> None:
    def asks(scorer: Scorer, image: Tensor) -> Tensor:
        return explain(scorer, image, method="gradcom")

    with pytest.raises(UserError, match="no explainer called 'gradcom'"):
        bench(asks)


@pytest.mark.soak
def test_a_worker_that_comes_late_is_given_work(bench: Bench, there: ByHand, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    many = eyes("012345678")
    third = there.worker()
    try:
        assert bench(slow(pids, 1.5), cases=many, metrics=["passes"]) == 0
    finally:
        third.terminate()
        third.wait(timeout=20)
    assert len(set(pids.read_text().split())) >= 2


@pytest.mark.soak
def test_compiled_code_that_never_returns_is_ended_with_its_process(bench: Bench) -> None:
    def stuck(scorer: Scorer, image: Tensor) -> Tensor:
        import ctypes

        ctypes.PyDLL(None).sleep(600)  # holding the interpreter's lock, so that nothing else runs in the process
        return 1 - image[1]

    start = time.monotonic()
    assert bench(stuck, green, cases=ONE, timeout=2.0) == 1
    assert time.monotonic() - start < 90
    assert "longer than 2 s" in bench.records()["stuck", "0"].reason
    assert bench.records()["green", "0"].status == "ok"


@pytest.mark.soak
def test_a_worker_without_a_nanny_is_ended_too(tmp_path: Path) -> None:
    with closing(ByHand(tmp_path)) as hand:
        for _ in range(2):
            hand.worker("--no-nanny")
        bench = Bench(Store(tmp_path / "there"), METRICS, cluster=Cluster(scheduler=hand.address))
        assert bench(hangs, green, "random", cases=ONE, timeout=2.0) == 1
        assert bench.records()["green", "0"].status == bench.records()["random", "0"].status == "ok"


@pytest.mark.soak
def test_the_dearest_metrics_and_methods_give_the_same_bits(bench: Bench, alone: Bench) -> None:
    regions = "lime[segments=8,samples=16] kernel-shap[segments=6,samples=20] occlusion rise[samples=20]"
    gradients = "gradcam[layer=bottleneck] integrated-gradients[steps=5] deeplift expected-gradients[samples=4]"
    methods = [*regions.split(), *gradients.split(), "random"]
    metrics = (*METRICS, "target-sensitivity", "max-sensitivity", "mprt", "infidelity", "completeness", "context")
    for each in (alone, bench):
        each.model = make_network()
        assert each(*methods, metrics=metrics) == 0
    assert bench.content() == alone.content()


@pytest.mark.soak
def test_a_storm_of_killed_workers_loses_nothing(bench: Bench, alone: Bench, tmp_path: Path) -> None:
    pids, slowly = tmp_path / "pids", slow(tmp_path / "pids", 0.4)
    over = threading.Event()

    def storm() -> None:
        seen = 0
        while not over.wait(6):
            known = pids.read_text().split() if pids.exists() else []
            if len(known) > seen:
                seen = len(known)
                with suppress(ProcessLookupError):
                    os.kill(int(known[-1]), signal.SIGKILL)

    many = eyes("0123456789")
    killer = threading.Thread(target=storm)
    killer.start()
    try:
        assert bench(slowly, green, "random", cases=many) == 0
    finally:
        over.set()
        killer.join()
    assert alone(slowly, green, "random", cases=many) == 0
    assert bench.content() == alone.content()
