"""One fundus image with what is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaibench.data.anatomy.caliber import caliber_map, fov_scale, is_thin
from xaibench.data.io.field_of_view import estimate_fov
from xaibench.errors import UserError, one_line


@dataclass(frozen=True, eq=False)
class Case:
    """One fundus image, frozen.

    Attributes:
        id: name within its dataset, such as ``"01"``.
        image: (3, H, W) float32 RGB in [0, 1].
        vessels: (H, W) bool, the first observer's vessels inside the field of view.
        fov: (H, W) bool, the field of view.
        caliber: (H, W) float32, the vessel radius in px at every vessel pixel, 0 elsewhere.
        scale: size of a DRIVE pixel (24 µm) in this image's pixels.
        observer2: (H, W) bool, a second observer's vessels, where the dataset has them.
        labelled: whether ``vessels`` says anything; without labels it is all false, and what needs them is refused.
    """

    id: str
    image: Tensor
    vessels: Tensor
    fov: Tensor
    caliber: Tensor
    scale: float
    observer2: Tensor | None = None
    labelled: bool = True

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of a SHA-256 over the arrays and the scale: all that a map can depend on, and of scores
        all but whether there are labels at all (``labelled``)."""
        h = hashlib.sha256()
        second = () if self.observer2 is None else (self.observer2,)
        for t in (self.image, self.vessels, self.fov, self.caliber, *second):
            h.update(str(tuple(t.shape)).encode())
            h.update(np.ascontiguousarray(t.numpy()).tobytes())
        h.update(f"{self.scale:.6g}".encode())
        return h.hexdigest()[:16]

    @cached_property
    def thin(self) -> Tensor:
        """(H, W) bool, vessel pixels with radius <= 1.5 px at DRIVE's scale (24 µm/px)."""
        return self.vessels & torch.from_numpy(is_thin(self.caliber.numpy(), self.scale))

    @cached_property
    def thick(self) -> Tensor:
        """(H, W) bool, the other vessel pixels."""
        return self.vessels & ~self.thin

    def seen(self, change: Callable[[Tensor], Tensor], id: str) -> Case:
        """The case with everything that has pixels changed alike, such as cut or mirrored: a (…, H, W) tensor each."""
        return replace(
            self,
            id=id,
            image=change(self.image).contiguous(),
            vessels=change(self.vessels).contiguous(),
            fov=change(self.fov).contiguous(),
            caliber=change(self.caliber).contiguous(),
            observer2=None if self.observer2 is None else change(self.observer2).contiguous(),
        )


def make_case(
    id: str,
    image: np.ndarray,
    vessels: np.ndarray | None = None,
    fov: np.ndarray | None = None,
    *,
    caliber: np.ndarray | None = None,
    scale: float | None = None,
    observer2: np.ndarray | None = None,
) -> Case:
    """Check the arrays, cut the vessels to the field of view, and measure the caliber where it is not given.

    Args:
        id: the case's name, made :func:`~xaibench.errors.one_line`.
        image: (H, W, 3) uint8, or (3, H, W) float in [0, 1].
        vessels: (H, W) bool, or None without labels: such a case can be explained, and not scored.
        fov: (H, W) bool; found by :func:`~xaibench.data.io.field_of_view.estimate_fov` if None.
        caliber: (H, W) float, true radii in px; measured with :func:`caliber_map` if None.
        scale: size of a DRIVE pixel in this image's pixels; the diameter of the field of view / 540 if None.
        observer2: (H, W) bool or None.

    Raises:
        UserError: if the image is none, the shapes do not agree, a mask is not of bool, the field of view is empty, or
            a size is not finite and positive.
    """
    id, labelled = one_line(id), vessels is not None
    image = _image(id, image)
    size = image.shape[1:]
    if fov is None:
        fov = estimate_fov(np.rint(image * 255).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
    for name, mask in (("vessel mask", vessels), ("field-of-view mask", fov), ("second mask", observer2)):
        if mask is not None and mask.dtype != bool:
            raise UserError(f"Case {id}: the {name} is of {mask.dtype}, not of bool.", "Give `mask > 127`, say.")
        if mask is not None and mask.ndim != 2:
            raise UserError(f"Case {id}: the {name} has shape {mask.shape}, not (H, W).", "Give one channel of it.")
        if mask is not None and mask.shape != size:
            raise UserError(
                f"Case {id}: the {name} is {mask.shape[1]} × {mask.shape[0]} px "
                f"but the image is {size[1]} × {size[0]} px.",
                "Export both on the same grid.",
            )
    if not fov.any():
        raise UserError(
            f"Case {id}: the field-of-view mask is empty.", "Check that it is white inside and black outside."
        )
    vessels = np.zeros(size, bool) if vessels is None else vessels & fov
    if caliber is not None and (caliber.shape != size or not (np.isfinite(caliber).all() and (caliber >= 0).all())):
        raise UserError(
            f"Case {id}: the caliber is no radius in px for each pixel.", "Leave it out to have it measured."
        )
    if scale is not None and not 0 < scale < np.inf:
        raise UserError(f"Case {id}: the scale {scale} is no size of a pixel.", "Leave it out to have it measured.")
    radius = caliber_map(vessels) if caliber is None else np.where(vessels, caliber, 0)
    return Case(
        id=id,
        image=torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)),
        vessels=torch.from_numpy(np.ascontiguousarray(vessels, dtype=bool)),
        fov=torch.from_numpy(np.ascontiguousarray(fov, dtype=bool)),
        caliber=torch.from_numpy(np.ascontiguousarray(radius, dtype=np.float32)),
        scale=fov_scale(fov) if scale is None else scale,
        observer2=None if observer2 is None else torch.from_numpy(np.ascontiguousarray(observer2 & fov, dtype=bool)),
        labelled=labelled,
    )


def _image(id: str, image: np.ndarray) -> np.ndarray:
    """(3, H, W) float32 in [0, 1]."""
    how = "Give (H, W, 3) of uint8, or (3, H, W) of decimals in [0, 1]."
    if image.dtype == np.uint8:
        if image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UserError(f"Case {id}: the image has shape {image.shape}, not (H, W, 3).", how)
        return image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    if image.dtype.kind != "f":
        raise UserError(f"Case {id}: the image is of {image.dtype}.", how)
    if image.ndim != 3 or image.shape[0] != 3 or not image.size:
        raise UserError(f"Case {id}: the image has shape {image.shape}, not (3, H, W).", how)
    if not (image.min() >= 0 and image.max() <= 1):  # which NaN is not either
        raise UserError(f"Case {id}: the image has values outside [0, 1] or that are no numbers.", how)
    return image


@dataclass(frozen=True)
class Cases(Sequence[Case]):
    """The cases of a dataset, each read from disk or drawn when it is first asked for, none kept.

    Attributes:
        dataset: the dataset's name as it stands in records, such as ``"drive"``.
        split: which part of it.
        ids: the case ids in order.
        load: turns an id into its case.
        note: one sentence the user should know of this data (a split that stands in for missing labels), or "".
    """

    dataset: str
    split: str
    ids: tuple[str, ...]
    load: Callable[[str], Case]
    note: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Cases(self.dataset, self.split, self.ids[index], self.load, self.note)
        return self.load(self.ids[index])

    def __iter__(self) -> Iterator[Case]:
        return (self.load(i) for i in self.ids)
