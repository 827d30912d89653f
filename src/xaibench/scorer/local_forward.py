"""What a network says of pictures that differ from one picture in a small place, by crops around that place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.scorer.batching import evaluating
from xaibench.scorer.fingerprint import Remembered
from xaibench.scorer.receptive_field import Reach, reach_of

WORTH = 0.6  # of the picture's area; a crop above it takes about as long as the whole
TOGETHER = 4  # crops that go through the network at a time, at most, where that changes no bit of what each gives
LEAST = 256  # px, side of pictures from which on crops can save what it costs to find out about the network
_AGREE = 1e-5  # of the largest logit, to which a crop must agree with the whole
_trusted: Remembered[dict[tuple[int, int], Reach | None]] = Remembered()
_alike: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], bool]] = WeakKeyDictionary()


def digest(picture: Tensor) -> bytes:
    """20 bytes that tell pictures apart."""
    return hashlib.sha1(picture.detach().contiguous().cpu().numpy().data, usedforsecurity=False).digest()


@dataclass(frozen=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index (…, H, W) with, behind an ellipsis."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def within(self, outer: Box) -> tuple[slice, slice]:
        """The same place in a crop of ``outer``."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )


def box_of(mask: Tensor) -> Box | None:
    """The least box around the true pixels of an (H, W) mask; None if there are none."""
    there = mask.cpu().numpy()  # whose any() is many times faster than torch's
    rows, columns = (np.flatnonzero(there.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def crop_for(box: Box, reach: Reach, size: tuple[int, int]) -> tuple[Box, Box] | None:
    """Where a change in the box is felt, and a crop in which all of that is seen as in the whole picture.

    Returns:
        None if the crop would be nearly the whole picture.
    """
    spans = []
    for low, high, length in ((box.top, box.bottom, size[0]), (box.left, box.right, size[1])):
        felt = max(low - reach.before, 0), min(high + reach.after, length)
        # What is said of a pixel depends on those as far before it as a change is felt after it.
        start = max(felt[0] - reach.after, 0) // reach.step * reach.step
        extent = felt[1] + reach.before - start
        spans.append((*felt, start, min(start + -(-extent // reach.step) * reach.step, length)))
    (top, bottom, first, last), (left, right, begin, end) = spans
    if (last - first) * (end - begin) > WORTH * size[0] * size[1]:
        return None
    return Box(top, left, bottom, right), Box(first, begin, last, end)


@dataclass(frozen=True)
class Through:
    """A network as it is at the moment.

    Attributes:
        forward: (N, 3, h, w) to (N, 1, h, w) logits, for any size.
        joined: whether (N, 3, h, w) crops may go through it together; by default they never do.
    """

    forward: Callable[[Tensor], Tensor]
    joined: Callable[[Tensor], bool] = lambda parts: False


class Near:
    """The logits of pictures that differ from one picture in a box.

    Args:
        image: (3, H, W), the picture, on the network's device.
        ready: gives the network; asked once for all pictures that are scored together.
        reach: of the network; None if it is not local, or not to be taken for it.
    """

    def __init__(self, image: Tensor, ready: Callable[[], Through], reach: Reach | None) -> None:
        self.image = image
        self._ready = ready
        self._reach = reach
        self._logits: Tensor | None = None
        self._buffer: Tensor | None = None
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """Of the picture."""
        if self._digest is None:
            self._digest = digest(self.image)
        return self._digest

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.image.shape[1]), int(self.image.shape[2])

    @property
    def logits(self) -> Tensor:
        """(1, 1, H, W) of the picture itself; one pass on first use."""
        if self._logits is None:
            self._logits = self._ready().forward(self.image[None])
        return self._logits

    def helps(self, box: Box) -> bool:
        """Whether a change in the box is evaluated by a crop."""
        return self._reach is not None and crop_for(box, self._reach, self.size) is not None

    def changed(self, box: Box, content: Tensor) -> Tensor:
        """(1, 1, H, W) logits of the picture in which the box holds ``content``, (3, h, w)."""
        (logits,) = self.changed_each([(box, content)])
        return logits

    def changed_each(self, changes: Iterable[tuple[Box, Tensor]]) -> Iterator[Tensor]:
        """As :meth:`changed`, of one change after the other, each made to the picture itself.

        A few crops of one size go through the network together: one alone is so small that what happens between its
        layers takes as long as they do.
        """
        through = self._ready()
        waiting: list[tuple[Box, Tensor, tuple[Box, Box]]] = []
        for box, content in changes:
            found = None if self._reach is None else crop_for(box, self._reach, self.size)
            if waiting and (found is None or not self._joins(found[1], waiting[0][2][1], len(waiting))):
                yield from self._by_crops(waiting, through)
                waiting = []
            if found is None:
                yield self._whole(box, content, through)
            else:
                waiting.append((box, content, found))
        if waiting:
            yield from self._by_crops(waiting, through)

    def _joins(self, crop: Box, first: Box, count: int) -> bool:
        """Whether a crop can go with others that wait: all together hold no more than the picture does."""
        height, width = crop.size
        most = min(TOGETHER, self.size[0] * self.size[1] // (height * width))
        return crop.size == first.size and count < most

    def _by_crops(self, changes: list[tuple[Box, Tensor, tuple[Box, Box]]], through: Through) -> Iterator[Tensor]:
        parts = torch.stack([self.image[(..., *crop.slices)] for _box, _content, (_felt, crop) in changes])
        for part, (box, content, (_felt, crop)) in zip(parts, changes, strict=True):
            part[(..., *box.within(crop))] = content
        together = len(parts) > 1 and through.joined(parts)
        every = through.forward(parts) if together else (through.forward(part[None])[0] for part in parts)
        for seen, (_box, _content, (felt, crop)) in zip(every, changes, strict=True):
            logits = self.logits.clone()
            logits[(0, ..., *felt.slices)] = seen[(..., *felt.within(crop))]
            yield logits

    def _whole(self, box: Box, content: Tensor, through: Through) -> Tensor:
        """By a full pass; one buffer serves all pictures."""
        if self._buffer is None:
            self._buffer = self.image[None].clone(memory_format=torch.channels_last)
        place = (0, ..., *box.slices)
        self._buffer[place] = content
        logits = through.forward(self._buffer)
        self._buffer[place] = self.image[(..., *box.slices)]
        return logits


def trusted_reach(model: nn.Module, image: Tensor) -> Reach | None:
    """The network's reach, if on a picture of this size crops were seen to give what the whole gives.

    Tried once per network and size, as long as its weights and modules are what they were, from 256 px on: a change in
    the middle, and one in the last corner, where networks pad.

    Args:
        model: on the image's device.
        image: (3, H, W).
    """
    size = int(image.shape[1]), int(image.shape[2])
    if min(size) < LEAST:
        return None
    by_size = _trusted.of(model, dict)
    if size not in by_size:
        with torch.inference_mode(), evaluating(model):
            reach = reach_of(model, image.device)
            by_size[size] = reach if reach is not None and _agrees(model, image, reach) else None
    return by_size[size]


def alike_together(model: nn.Module, parts: Tensor) -> bool:
    """Whether crops give bit for bit together what each gives alone, so that no result depends on their company.

    For some sizes another kernel is taken for several than for one, and it rounds differently. Tried once per network,
    size, number and count of threads.

    Args:
        model: on the crops' device, in evaluation mode.
        parts: (N, 3, h, w), in the memory format to be used.
    """
    by_size, key = _alike.setdefault(model, {}), (torch.get_num_threads(), *parts.shape)
    if key not in by_size:
        alone = torch.cat([model(part) for part in parts.split(1)])
        by_size[key] = torch.equal(model(parts), alone)
    return by_size[key]


def _agrees(model: nn.Module, image: Tensor, reach: Reach) -> bool:
    near = Near(image, lambda: Through(model), reach)
    height, width = near.size
    side = min(8, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    for box in (Box(top, left, top + side, left + side), Box(height - side, width - side, height, width)):
        if not near.helps(box):
            continue
        changed = image.clone()
        changed[(..., *box.slices)] = 1 - changed[(..., *box.slices)]
        whole = model(changed[None].contiguous(memory_format=torch.channels_last))
        local = near.changed(box, changed[(..., *box.slices)])
        if float((whole - local).abs().max()) > _AGREE * max(1.0, float(whole.abs().max())):
            return False
    return True
