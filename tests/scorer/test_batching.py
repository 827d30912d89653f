import json
from pathlib import Path

import pytest
import torch
from nets import Function
from torch import Tensor, nn

from xaibench.models.networks.unet import VesselUNet
from xaibench.scorer import batching as room
from xaibench.scorer.batching import FORMATS, Engine, evaluating, fastest_engine

IMAGE = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(room, "_engines", {})
    return tmp_path / "cache"


def kept(cache: Path) -> list[Path]:
    return [p for p in cache.rglob("*") if p.is_file()]


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("micro_batch", [1, 2, 3, 8])
def test_batches_are_the_batch_in_parts(micro_batch: int, memory_format: str) -> None:
    images = torch.rand(5, 3, 6, 4)
    parts = list(Engine(micro_batch, memory_format).batches(images))
    assert torch.equal(torch.cat(parts), images)
    assert all(len(p) <= micro_batch and p.is_contiguous(memory_format=FORMATS[memory_format]) for p in parts)


def test_the_choice_is_measured_once_and_remembered(
    network: VesselUNet, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fastest_engine(network, IMAGE, "net")
    monkeypatch.setattr(room, "_measure", lambda *a: pytest.fail("measured twice"))
    assert fastest_engine(network, IMAGE, "net") is first
    room._engines.clear()  # as in another process
    assert fastest_engine(network, IMAGE, "net") == first
    assert len(kept(cache)) == 1  # nothing temporary is left


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[1]", b"{}", b"\xff\xfe", b'{"micro_batch": "x", "memory_format": "contiguous"}']
    + [json.dumps({"micro_batch": n, "memory_format": f}).encode() for n, f in [(0, "contiguous"), (1, "sideways")]],
)
def test_a_damaged_memory_is_measured_anew(
    network: VesselUNet, cache: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    fastest_engine(network, IMAGE, "net")
    (file,) = kept(cache)
    file.write_bytes(content)
    room._engines.clear()  # as in another process
    monkeypatch.setattr(room, "_measure", lambda *a: Engine(4, "contiguous"))
    assert fastest_engine(network, IMAGE, "net") == Engine(4, "contiguous")
    assert json.loads(file.read_text()) == {"micro_batch": 4, "memory_format": "contiguous"}


@pytest.mark.parametrize("home", ["a file", None])
def test_without_a_folder_it_is_measured_once_per_process(
    network: VesselUNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    if home is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", homeless)
    else:  # a folder cannot be made inside a file
        (tmp_path / home).write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / home))
    first = fastest_engine(network, IMAGE, "net")
    monkeypatch.setattr(room, "_measure", lambda *a: pytest.fail("measured twice in one process"))
    assert fastest_engine(network, IMAGE, "net") is first


def test_another_network_or_size_is_measured_for_itself(network: VesselUNet, cache: Path) -> None:
    fastest_engine(network, IMAGE, "net")
    fastest_engine(network, IMAGE, "other net")
    fastest_engine(network, IMAGE[:, :16], "net")
    assert len(kept(cache)) == 3


def pretend(monkeypatch: pytest.MonkeyPatch, seconds_per_batch: dict[int, float]) -> None:
    def seconds(model: nn.Module, engine: Engine, images: Tensor) -> float:
        if engine.micro_batch not in seconds_per_batch:
            raise torch.OutOfMemoryError
        return seconds_per_batch[engine.micro_batch] * (1 if engine.memory_format == "contiguous" else 0.95)

    monkeypatch.setattr(room, "_seconds", seconds)


@pytest.mark.parametrize(
    ("seconds_per_batch", "expected"),
    [
        ({1: 1.0, 2: 2.0}, 1),
        ({1: 1.0, 2: 1.92}, 1),  # 4 % is not worth it
        ({1: 1.0, 2: 1.0, 4: 2.0}, 2),
        ({1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0}, 32),
        ({1: 1.0, 2: 1.0, 4: 1.0}, 4),  # 8 do not fit into memory
    ],
)
def test_a_larger_batch_is_taken_where_it_is_faster(
    network: VesselUNet, monkeypatch: pytest.MonkeyPatch, seconds_per_batch: dict[int, float], expected: int
) -> None:
    pretend(monkeypatch, seconds_per_batch)
    monkeypatch.setattr(room, "_run", lambda model, engine, images: images)
    assert fastest_engine(network, IMAGE, "net") == Engine(expected, "channels_last")


def test_a_batch_that_rounds_differently_is_not_taken_however_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    rounding = Function(lambda _, images: images[:, :1] + 1e-6 * (len(images) > 2))
    pretend(monkeypatch, {1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0})
    assert fastest_engine(rounding, IMAGE, "net").micro_batch == 2


def test_evaluating_keeps_each_modules_own_mode() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm2d(2), nn.ReLU())).train()
    model[1][0].eval()
    with pytest.raises(ZeroDivisionError), evaluating(model):
        assert not any(m.training for m in model.modules())
        raise ZeroDivisionError
    assert [m.training for m in model.modules()] == [True, True, True, False, True]
