"""What is in a data folder, and everything that is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from xaibench.data.anatomy.caliber import caliber_map, fov_scale, is_thin
from xaibench.data.datasets.case_files import Item
from xaibench.data.datasets.drive import drive_items
from xaibench.data.datasets.folder import read_folder
from xaibench.data.datasets.layout import LAYOUTS, recognise
from xaibench.data.io.field_of_view import estimate_fov
from xaibench.data.io.source import Source, open_source, read_image, read_mask
from xaibench.errors import UserError

INVERTED = 0.5  # vessels cover an eighth of a retina; more than half of it is background painted white


@dataclass(frozen=True)
class Report:
    """What a check found: one line each, in plain words.

    Attributes:
        found: the layout, counts, sizes, the vessel and the thin fraction.
        problems: everything that is missing or wrong; empty if the folder can be used as it is.
    """

    found: list[str]
    problems: list[str]


@dataclass
class _Tally:
    """What the files add up to while they are read one after another."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    fractions: list[float] = field(default_factory=list)  # vessels of the field of view, per image
    vessel_pixels: int = 0
    thin_pixels: int = 0
    seen: dict[str, str] = field(default_factory=dict)  # digest of a picture to its name


def check_folder(path: str | os.PathLike[str]) -> Report:
    """Read every picture of a folder or zip archive and report what is there and what is wrong.

    Args:
        path: DRIVE, CHASE_DB1, STARE, HRF, or a folder of images and masks.

    Raises:
        UserError: if there is no such folder or archive.
    """
    source = open_source(path)
    problems = list(source.broken)
    layout = recognise(source)
    notes: list[str] = []
    if layout == "folder":
        try:
            folder = read_folder(source)
        except UserError as error:
            return Report([f"{len(source.files)} pictures"], [*problems, str(error)])
        items = folder.items
        problems += [error.message for error in folder.problems]
    elif layout != "drive":
        items = LAYOUTS[layout].items(source)
    else:
        training, test = drive_items(source)
        if test and not any(item.vessels for item in test):
            notes = [f"test part: {len(test)} images without labels, as today's download has it; they are not used"]
            test = []
        items = training + test
    tally = _Tally()
    for item in items:
        problems += _check_item(source, item, tally)
    if any(item.fov for item in items):
        problems += [f"{item.image} has no field-of-view mask." for item in items if item.image and not item.fov]
    title = LAYOUTS[layout].title if layout in LAYOUTS else "images with masks"
    return Report([f"layout: {title}", *_counts(items), *notes, *_figures(tally)], problems)


def _check_item(source: Source, item: Item, tally: _Tally) -> list[str]:
    """Read one case's files, add them to the tally, and say what is wrong with them."""
    problems = [item.gap] if item.gap else []
    image = _attempt(read_image, source, item.image, problems)
    if image is not None:
        tally.sizes[image.shape[1], image.shape[0]] += 1
    masks: dict[str, np.ndarray] = {}
    for name in (item.vessels, item.fov, item.observer2):
        mask = _attempt(read_mask, source, name, problems)
        if name is None or mask is None:
            continue
        if not mask.any():
            problems.append(f"{name} is empty: nothing in it is white.")
        elif image is not None and mask.shape != image.shape[:2]:
            problems.append(f"{name} is {_size(mask)} but {item.image} is {_size(image)}.")
        else:
            masks[name] = mask
    problems += _twins(item, image, masks.get(item.vessels or ""), tally)
    if image is not None and item.vessels in masks:
        fov = masks[item.fov] if item.fov in masks else estimate_fov(image)
        problems += _measure(item, masks[item.vessels], fov, tally)
    return problems


def _measure(item: Item, vessels: np.ndarray, fov: np.ndarray, tally: _Tally) -> list[str]:
    vessels = vessels & fov
    fraction = float(vessels.sum() / fov.sum())
    if fraction > INVERTED:
        return [f"{item.vessels} is white over {fraction:.0%} of the field of view: is it inverted?"]
    if not fraction:
        return [f"{item.vessels} has no vessels inside the field of view."]
    tally.fractions.append(fraction)
    tally.vessel_pixels += int(vessels.sum())
    tally.thin_pixels += int(is_thin(caliber_map(vessels), fov_scale(fov)).sum())
    return []


def _twins(item: Item, image: np.ndarray | None, vessels: np.ndarray | None, tally: _Tally) -> list[str]:
    """Pictures, of the eye or of its vessels, that were there before under another name."""
    problems = []
    for name, picture in ((item.image, image), (item.vessels, vessels)):
        if name is None or picture is None:
            continue
        digest = hashlib.sha256(repr((picture.shape, picture.dtype)).encode() + picture.tobytes()).hexdigest()
        if digest in tally.seen:
            problems.append(f"{name} is the same picture as {tally.seen[digest]}.")
        tally.seen.setdefault(digest, name)
    return problems


def _attempt(
    read: Callable[[Source, str], np.ndarray], source: Source, name: str | None, problems: list[str]
) -> np.ndarray | None:
    try:
        return None if name is None else read(source, name)
    except UserError as error:
        problems.append(error.message)
        return None


def _counts(items: Sequence[Item]) -> list[str]:
    fovs = sum(item.fov is not None for item in items)
    return [
        f"images: {sum(item.image is not None for item in items)}",
        f"labels: {sum(item.vessels is not None for item in items)}",
        f"field-of-view masks: {fovs or 'none, estimated from the images'}",
        f"second observers: {sum(item.observer2 is not None for item in items) or 'none'}",
    ]


def _figures(tally: _Tally) -> list[str]:
    sizes = ", ".join(f"{count} of {width} × {height} px" for (width, height), count in tally.sizes.most_common())
    lines = [f"sizes: {sizes}"] if sizes else []
    if tally.fractions:
        low, mean, high = min(tally.fractions), float(np.mean(tally.fractions)), max(tally.fractions)
        lines += [
            f"vessels: {mean:.1%} of the field of view ({low:.1%} to {high:.1%})",
            f"thin vessels: {tally.thin_pixels / tally.vessel_pixels:.1%} of vessel pixels",
        ]
    return lines


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]} × {picture.shape[0]} px"
