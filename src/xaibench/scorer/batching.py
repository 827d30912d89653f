"""Micro-batch and memory format of a network's passes, chosen by a short measurement.

On a CPU large batches are slower than single images, because the activations no longer fit into the cache; on small
images or on a GPU they are faster. The choice is measured once per machine, network, image size and device, and stored
in a file. It must not differ between two runs, because another memory format may round differently.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor, nn

from xaibench.cache import recall, remember

FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
CACHE = "engine"  # the cache's name for these choices
_engines: dict[str, Engine] = {}  # of this process
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # options of mallopt, from malloc.h


@dataclass(frozen=True)
class Engine:
    """Images per pass and memory format (``"channels_last"`` or ``"contiguous"``)."""

    micro_batch: Annotated[int, msgspec.Meta(ge=1)] = 1
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"

    def batches(self, images: Tensor) -> Iterator[Tensor]:
        """Parts of ``micro_batch`` images, then the remaining images one by one, in this memory format.

        A batch of another size may be computed by another kernel, which rounds differently. Batches of one and of
        ``micro_batch`` images are known to agree.
        """
        whole = len(images) - len(images) % self.micro_batch
        for part in (*images[:whole].split(self.micro_batch), *images[whole:].split(1)):
            if len(part):
                yield self.formatted(part)

    def formatted(self, images: Tensor) -> Tensor:
        """A copy of the images in this memory format: a network may change what it is given."""
        return images.clone(memory_format=FORMATS[self.memory_format])


def fastest_engine(model: nn.Module, image: Tensor, name: str) -> Engine:
    """The fastest engine for images of this size; measured on first use, then stored.

    A larger micro-batch is chosen only if it is at least 5 % faster per image *and* gives bit for bit the result of
    single images, so that no result depends on it.

    Args:
        model: in evaluation mode.
        image: (C, H, W) on the device to be used.
        name: identifies the computation, such as the digest of the weights.
    """
    machine = [platform.node(), platform.machine(), torch.__version__, str(torch.get_num_threads()), str(image.device)]
    key = hashlib.sha256(json.dumps([*machine, name, list(image.shape), str(image.dtype)]).encode()).hexdigest()[:24]
    if key not in _engines:
        engine = _stored(key)
        if engine is None:
            engine = _measure(model, image)
            remember(CACHE, key, asdict(engine))
        _engines[key] = engine
    return _engines[key]


def _stored(key: str) -> Engine | None:
    stored = recall(CACHE, key)
    try:
        engine = msgspec.convert(stored, Engine)
    except msgspec.ValidationError:
        return None
    return engine if asdict(engine) == stored else None  # no field is missing


@torch.inference_mode()
def _measure(model: nn.Module, image: Tensor) -> Engine:
    engines = Engine(1, "channels_last"), Engine(1, "contiguous")
    channels_last, contiguous = _least_seconds(model, [(engine, image[None]) for engine in engines])
    # channels_last is usually faster; within 10 % it is chosen, so that noise decides less often.
    best = engines[contiguous < 0.9 * channels_last]
    for size in (2, 4, 8, 16, 32):
        candidate, single = Engine(size, best.memory_format), Engine(1, best.memory_format)
        varied = image[None] * torch.linspace(1, 0.5, size, device=image.device).view(-1, 1, 1, 1)
        try:
            before, now = _least_seconds(model, [(best, varied[: best.micro_batch]), (candidate, varied)])
        except torch.OutOfMemoryError:
            break
        if now / size > 0.95 * before / best.micro_batch:
            break
        if not torch.equal(_run(model, candidate, varied), _run(model, single, varied)):
            break
        best = candidate
    return best


def _run(model: nn.Module, engine: Engine, images: Tensor) -> Tensor:
    return torch.cat([model(x) for x in engine.batches(images)])


def _least_seconds(model: nn.Module, entries: list[tuple[Engine, Tensor]]) -> list[float]:
    """Least seconds of each entry; they take turns, so that other load on the machine disturbs all alike."""
    rounds = [[_seconds(model, engine, images) for engine, images in entries] for _ in range(4)]
    return [min(times) for times in zip(*rounds[1:], strict=True)]  # the first round warms up


def _seconds(model: nn.Module, engine: Engine, images: Tensor) -> float:
    start = time.perf_counter()
    _run(model, engine, images)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - start


@functools.cache
def keep_freed_memory() -> None:
    """Tell the C library of Linux not to return freed memory to the system; once per process, for good.

    A pass allocates and frees about a hundred arrays of 10 MB. By default each returns to the system and comes back as
    zeroed pages, which takes 20 to 25 % of the time of a pass.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
            libc.mallopt(_MMAP_THRESHOLD, 2**25)  # the highest value that it accepts
            libc.mallopt(_ARENA_MAX, 1)  # memory that one thread frees is there for the others


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; afterwards each module has its own mode again."""
    training = [m for m in model.modules() if m.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
