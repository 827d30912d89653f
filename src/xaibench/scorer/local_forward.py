"""Logits of images that differ from one image in a small box, computed by a crop around that box."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from types import EllipsisType

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.models.network_interface import INTERFACE
from xaibench.scorer.batching import evaluating
from xaibench.scorer.fingerprint import NetworkCache
from xaibench.scorer.inference import LEAST_SIDE, Inference
from xaibench.scorer.receptive_field import ReceptiveField, receptive_field

LARGEST_CROP = 0.6  # of the image's area; a larger crop takes about as long as the whole image
LARGEST_BATCH = 4  # crops in one pass, where that gives the bits of single crops
_TOLERANCE = 1e-5  # of the largest logit, between the logits of a crop and of the whole image
_verified: NetworkCache[dict[tuple[int, ...], ReceptiveField | None]] = NetworkCache()


def digest(image: Tensor) -> bytes:
    """20 bytes that identify an image's content."""
    return hashlib.sha1(image.detach().contiguous().cpu().numpy().data, usedforsecurity=False).digest()


@dataclass(frozen=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def index(self) -> tuple[EllipsisType, slice, slice]:
        """Index of the box in the last two dimensions."""
        return ..., slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def within(self, outer: Box) -> Box:
        """The same place in a crop ``outer``."""
        y, x = outer.top, outer.left
        return Box(self.top - y, self.left - x, self.bottom - y, self.right - x)


def box_of(mask: Tensor) -> Box | None:
    """The smallest box around the true pixels of an (H, W) mask; None if there are none."""
    array = mask.cpu().numpy()  # its any() is many times faster than torch's
    rows, columns = (np.flatnonzero(array.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


@dataclass(frozen=True)
class Crop:
    """A place where the input changes, and the crop that gives the output of the whole image.

    Attributes:
        box: where the input changes.
        affected: where the output changes.
        crop: the part of the input from which ``affected`` is computed.
    """

    box: Box
    affected: Box
    crop: Box

    def cut(self, image: Tensor, content: Tensor) -> Tensor:
        """(3, h, w): the crop of an image, (3, H, W), with other content in the box."""
        part = image[self.crop.index].clone()
        part[self.box.within(self.crop).index] = content
        return part

    def pasted(self, logits: Tensor, output: Tensor) -> Tensor:
        """A copy of the image's logits with the output for the crop where it changes."""
        whole = logits.clone()
        whole[self.affected.index] = output[self.affected.within(self.crop).index]
        return whole


def crop_for(box: Box, field: ReceptiveField, size: tuple[int, ...]) -> Crop | None:
    """The crop that gives the output of the whole image where a change in a box is felt.

    Args:
        box: where the input changes.
        field: of the network.
        size: (H, W) of the image.

    Returns:
        None if the crop would be nearly the whole image.
    """
    spans = []
    for low, high, length in ((box.top, box.bottom, size[0]), (box.left, box.right, size[1])):
        first, last = max(low - field.before, 0), min(high + field.after, length)
        # An output pixel depends on inputs as far before it as a change is felt after itself, and the other way round.
        start = max(first - field.after, 0) // field.step * field.step
        steps = -(-(last + field.before - start) // field.step)
        spans.append((first, last, start, min(start + steps * field.step, length)))
    (top, bottom, crop_top, crop_bottom), (left, right, crop_left, crop_right) = spans
    if (crop_bottom - crop_top) * (crop_right - crop_left) > LARGEST_CROP * size[0] * size[1]:
        return None
    return Crop(box, Box(top, left, bottom, right), Box(crop_top, crop_left, crop_bottom, crop_right))


class LocalForward:
    """The logits of images that differ from one image in a box.

    Attributes:
        image: (3, H, W) on the network's device.

    Args:
        image: see above.
        current: gives the network as it is now; called once for all images that are scored together.
        field: receptive field of the network; None if it is unlimited or must not be used.
    """

    def __init__(self, image: Tensor, current: Callable[[], Inference], field: ReceptiveField | None) -> None:
        self.image, self.size = image, INTERFACE.size(image)
        self._current, self._field = current, field

    @cached_property
    def digest(self) -> bytes:
        """Identifies the image's content."""
        return digest(self.image)

    @cached_property
    def logits(self) -> Tensor:
        """(1, 1, H, W) of the image itself; one pass on first use."""
        return self._current()(self.image[None])

    @cached_property
    def _copy(self) -> Tensor:
        """(1, 3, H, W), in which changes are made and undone."""
        return self.image[None].clone(memory_format=torch.channels_last)

    def crop_for(self, box: Box) -> Crop | None:
        """The crop by which a change in the box is computed; None if that takes a pass of the whole image."""
        return None if self._field is None else crop_for(box, self._field, self.size)

    def changed(self, box: Box, content: Tensor) -> Tensor:
        """(1, 1, H, W) logits of the image with ``content``, (3, h, w), in the box."""
        (logits,) = self.changed_each([(box, content)])
        return logits

    def changed_each(self, changes: Iterable[tuple[Box, Tensor]]) -> Iterator[Tensor]:
        """As :meth:`changed`, for one change after the other, each of the original image.

        A few crops of one size share a pass: one alone is so small that the overhead between layers dominates.
        """
        forward = self._current()
        crops = ((self.crop_for(box), box, content) for box, content in changes)
        for size, group in groupby(crops, lambda change: change[0] and change[0].crop.size):
            if size is None:
                yield from (self._by_whole_image(box, content, forward) for _, box, content in group)
                continue
            most = min(LARGEST_BATCH, self.size[0] * self.size[1] // (size[0] * size[1]))
            cut = ((crop, crop.cut(self.image, content)) for crop, _, content in group if crop is not None)
            while batch := list(islice(cut, most)):
                images = torch.stack([image for _, image in batch])
                share = len(images) > 1 and forward.allows_batch(images)
                outputs = torch.cat(list(map(forward, images.split(len(images) if share else 1))))
                for (crop, _), output in zip(batch, outputs, strict=True):
                    yield crop.pasted(self.logits, output)

    def _by_whole_image(self, box: Box, content: Tensor, forward: Inference) -> Tensor:
        """One pass of the whole image; one copy serves all changes."""
        self._copy[box.index] = content
        logits = forward(self._copy)
        self._copy[box.index] = self.image[box.index]
        return logits


def verified_field(model: nn.Module, image: Tensor) -> ReceptiveField | None:
    """The network's receptive field, if crops of an image of this size give the output of the whole image.

    Verified once per network and size, from 256 px on, until the network changes: with a change in the middle and one
    in the last corner, where networks pad.

    Args:
        model: on the image's device.
        image: (3, H, W).
    """
    size = INTERFACE.size(image)
    if min(size) < LEAST_SIDE:
        return None
    by_size = _verified.get(model, dict)
    if size not in by_size:
        with torch.inference_mode(), evaluating(model):
            field = receptive_field(model, image.device)
            by_size[size] = field if field is not None and _agrees(model, image, field) else None
    return by_size[size]


def _agrees(model: nn.Module, image: Tensor, field: ReceptiveField) -> bool:
    height, width = INTERFACE.size(image)
    side, original = min(8, height, width), model(image[None].clone())
    top, left = (height - side) // 2, (width - side) // 2
    for box in (Box(top, left, top + side, left + side), Box(height - side, width - side, height, width)):
        crop = crop_for(box, field, (height, width))
        if crop is None:
            continue
        changed = image.clone()
        changed[box.index] = 1 - changed[box.index]
        whole = model(changed[None].clone(memory_format=torch.channels_last))
        part = changed[crop.crop.index][None].clone(memory_format=torch.contiguous_format)
        by_crop = crop.pasted(original, model(part))
        if float((whole - by_crop).abs().max()) > _TOLERANCE * max(1.0, float(whole.abs().max())):
            return False
    return True
