import pytest
import torch

from xaibench.errors import UserError
from xaibench.running.cluster import Cluster
from xaibench.running.devices import chosen_device, own_gpu


def several(asked: str, workers: int, visible: int) -> list[str]:
    found: list[str] = []
    for _ in range(workers):
        found.append(own_gpu(asked, found, visible))
    return found


def test_each_worker_has_a_gpu_of_its_own() -> None:
    assert several("cuda", 4, 4) == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert several("cuda", 5, 2) == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]
    assert several("cuda", 3, 1) == ["cuda:0"] * 3


def test_one_that_takes_the_place_of_another_takes_its_gpu() -> None:
    assert own_gpu("cuda", ["cuda:0", "cuda:2", "cuda:3"], 4) == "cuda:1"


def test_what_is_named_is_taken() -> None:
    assert several("cpu", 2, 4) == ["cpu"] * 2
    assert several("cuda:1", 2, 4) == ["cuda:1"] * 2


def test_what_auto_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("auto") == "cuda:0"
    assert chosen_device("auto", Cluster(workers=2)) == "cuda"
    assert chosen_device("auto", Cluster(scheduler="tcp://h:1")) == "auto"  # found out there
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert chosen_device("auto") == chosen_device("auto", Cluster(workers=2)) == "cpu"
    assert chosen_device("cuda", Cluster(scheduler="tcp://h:1")) == "cuda"  # which may have what is not here
    with pytest.raises(UserError, match="0 CUDA devices"):
        chosen_device("cuda", Cluster(workers=2))
