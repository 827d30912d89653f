"""How to push a batch through a network fast: micro-batch and memory format, found by a quick measurement.

On a CPU large batches are slower than single images, since the activations leave the cache; on small images or a GPU
they are faster. So it is measured, once per machine, network, size and device, and remembered in a file: the choice
must not differ between two runs, since another memory format may round differently.
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

import torch
from torch import Tensor, nn

from xaibench.cache import recall, remember

FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
CACHE = "engine"  # where the cache keeps what is found here
_known: dict[str, Engine] = {}
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # names of mallopt, from malloc.h


@dataclass(frozen=True)
class Engine:
    """A way through: images per pass and memory format (``"channels_last"`` or ``"contiguous"``)."""

    micro_batch: int = 1
    memory_format: str = "channels_last"

    def batches(self, images: Tensor) -> Iterator[Tensor]:
        """The batch in parts of ``micro_batch`` images, the rest one by one, in this memory format.

        Another number of images may be computed by another kernel that rounds differently; of one and of
        ``micro_batch`` it is known that they agree.
        """
        whole = len(images) - len(images) % self.micro_batch
        for part in (*images[:whole].split(self.micro_batch), *images[whole:].split(1)):
            if len(part):
                yield self.laid_out(part)

    def laid_out(self, images: Tensor) -> Tensor:
        """The images in this memory format."""
        return images.contiguous(memory_format=FORMATS[self.memory_format])


def tune(model: nn.Module, image: Tensor, name: str) -> Engine:
    """The fastest engine for images like this one; measured on first use, then remembered.

    A larger micro-batch is taken only if it is at least 5 % faster per image *and* gives bit for bit what single
    images give, so that no result depends on it.

    Args:
        model: in evaluation mode.
        image: (3, H, W) on the device to be used.
        name: what identifies the network's shape of computation, such as its weights digest.
    """
    machine = [platform.node(), platform.machine(), torch.__version__, str(torch.get_num_threads()), str(image.device)]
    key = hashlib.sha256(json.dumps([*machine, name, list(image.shape), str(image.dtype)]).encode()).hexdigest()[:24]
    if key not in _known:
        _known[key] = _recall(key) or _remember(key, _measure(model, image))
    return _known[key]


def _measure(model: nn.Module, image: Tensor) -> Engine:
    with torch.inference_mode():
        last, contiguous = _race(model, [(Engine(1, f), image[None]) for f in ("channels_last", "contiguous")])
        # Within 10 % the usually better one wins, so that noise decides less.
        best = Engine(1, "contiguous" if contiguous < 0.9 * last else "channels_last")
        for size in (2, 4, 8, 16, 32):
            candidate = Engine(size, best.memory_format)
            varied = image[None] * torch.linspace(1, 0.5, size, device=image.device).view(-1, 1, 1, 1)
            try:
                before, now = _race(model, [(best, varied[: best.micro_batch]), (candidate, varied)])
            except torch.OutOfMemoryError:
                break
            if now / size > 0.95 * before / best.micro_batch:
                break
            if not torch.equal(
                _through(model, candidate, varied), _through(model, Engine(1, best.memory_format), varied)
            ):
                break
            best = candidate
    return best


def _through(model: nn.Module, engine: Engine, images: Tensor) -> Tensor:
    return torch.cat([model(x) for x in engine.batches(images)])


def _race(model: nn.Module, entries: list[tuple[Engine, Tensor]]) -> list[float]:
    """Least seconds of each; they take turns, so that what else the machine does disturbs all alike."""
    rounds = [[_seconds(model, engine, images) for engine, images in entries] for _ in range(4)]
    return [min(times) for times in zip(*rounds[1:], strict=True)]  # the first one warms up


def _seconds(model: nn.Module, engine: Engine, images: Tensor) -> float:
    start = time.perf_counter()
    _through(model, engine, images)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - start


@functools.cache
def keep_memory() -> None:
    """Let the process keep what it frees, for the next pass: with the C library of Linux, once and for good.

    A pass makes and drops a hundred arrays of some 10 MB. By default each one's memory goes back to the system, and
    comes again as pages of zeros one after the other, which takes a fifth to a quarter of a pass's time.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
            libc.mallopt(_MMAP_THRESHOLD, 2**25)  # the most that it takes
            libc.mallopt(_ARENA_MAX, 1)  # what one thread frees is there for the others


def _recall(key: str) -> Engine | None:
    stored = recall(CACHE, key)
    try:
        engine = Engine(int(stored["micro_batch"]), str(stored["memory_format"]))
    except (ValueError, KeyError, TypeError):
        return None
    return engine if engine.micro_batch > 0 and engine.memory_format in FORMATS else None


def _remember(key: str, engine: Engine) -> Engine:
    remember(CACHE, key, asdict(engine))
    return engine


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, every module's own mode afterwards."""
    training = [m for m in model.modules() if m.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
