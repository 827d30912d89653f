"""One fundus image with its labels, field of view, caliber and scale."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

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
        labelled: whether there are labels; without them ``vessels`` is all false and can be neither target nor truth.
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
        """First 16 hex digits of a SHA-256 over the arrays and the scale, the content that maps and scores depend on.

        ``labelled`` is not in it: it changes scores, but no map.
        """
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

    def transformed(self, transform: Callable[[Tensor], Tensor], id: str) -> Case:
        """The case with every (…, H, W) tensor transformed alike, such as cropped or mirrored."""

        def moved(tensor: Tensor) -> Tensor:
            return transform(tensor).contiguous()

        image, vessels, fov, caliber = map(moved, (self.image, self.vessels, self.fov, self.caliber))
        second = None if self.observer2 is None else moved(self.observer2)
        return replace(self, id=id, image=image, vessels=vessels, fov=fov, caliber=caliber, observer2=second)


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
        fov: (H, W) bool; estimated by :func:`~xaibench.data.io.field_of_view.estimate_fov` if None.
        caliber: (H, W) float, true radii in px; measured with :func:`caliber_map` if None.
        scale: size of a DRIVE pixel in this image's pixels; the diameter of the field of view / 540 if None.
        observer2: (H, W) bool or None.

    Raises:
        UserError: if the image has another shape, type or range, the shapes differ, a mask is not boolean, the field of
            view is empty, or a size is not finite and positive.
    """
    id, labelled = one_line(id), vessels is not None
    image = _checked_image(id, image)
    size = image.shape[1:]
    if fov is None:
        fov = estimate_fov(np.rint(image * 255).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
    for name, mask in (("vessel mask", vessels), ("field-of-view mask", fov), ("second mask", observer2)):
        if mask is not None:
            _check_mask(f"Case {id}: the {name}", mask, size)
    if not fov.any():
        raise UserError(
            f"Case {id}: the field-of-view mask is empty.", "Check that it is white inside and black outside."
        )
    vessels = np.zeros(size, bool) if vessels is None else vessels & fov
    hint = "Leave it out to have it measured."
    if caliber is not None and (caliber.shape != size or not (np.isfinite(caliber).all() and (caliber >= 0).all())):
        raise UserError(f"Case {id}: the caliber is no radius in px for each pixel.", hint)
    if scale is not None and not 0 < scale < np.inf:
        raise UserError(f"Case {id}: the scale {scale} is no size of a pixel.", hint)
    radius = caliber_map(vessels) if caliber is None else np.where(vessels, caliber, 0)
    return Case(
        id=id,
        image=_tensor(image, np.float32),
        vessels=_tensor(vessels, bool),
        fov=_tensor(fov, bool),
        caliber=_tensor(radius, np.float32),
        scale=fov_scale(fov) if scale is None else scale,
        observer2=None if observer2 is None else _tensor(observer2 & fov, bool),
        labelled=labelled,
    )


def _checked_image(id: str, image: np.ndarray) -> np.ndarray:
    """(3, H, W) float in [0, 1]."""
    eight_bits = image.dtype == np.uint8
    hint = "Give (H, W, 3) of uint8, or (3, H, W) of decimals in [0, 1]."
    if not eight_bits and image.dtype.kind != "f":
        raise UserError(f"Case {id}: the image is of {image.dtype}.", hint)
    if image.ndim != 3 or image.shape[2 if eight_bits else 0] != 3 or not image.size:
        wanted = "(H, W, 3)" if eight_bits else "(3, H, W)"
        raise UserError(f"Case {id}: the image has shape {image.shape}, not {wanted}.", hint)
    if eight_bits:
        return image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    if not (image.min() >= 0 and image.max() <= 1):  # false for NaN, too
        raise UserError(f"Case {id}: the image has values outside [0, 1] or that are no numbers.", hint)
    return image


def _check_mask(what: str, mask: np.ndarray, size: tuple[int, ...]) -> None:
    if mask.dtype != bool:
        raise UserError(f"{what} is of {mask.dtype}, not of bool.", "Give `mask > 127`, say.")
    if mask.ndim != 2:
        raise UserError(f"{what} has shape {mask.shape}, not (H, W).", "Give one channel of it.")
    if mask.shape != size:
        sides = f"{mask.shape[1]} × {mask.shape[0]} px but the image is {size[1]} × {size[0]} px"
        raise UserError(f"{what} is {sides}.", "Export both on the same grid.")


def _tensor(array: np.ndarray, dtype: type) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))
