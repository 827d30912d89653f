"""The check of a data folder: what it holds, and everything that is wrong with it."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from xaibench.data.anatomy.caliber import caliber_map, fov_scale, is_thin
from xaibench.data.datasets.case_files import CaseFiles, match_files
from xaibench.data.datasets.folder import list_folder
from xaibench.data.datasets.local_copy import recognise
from xaibench.data.io.field_of_view import estimate_fov
from xaibench.data.io.source import Source, open_source, read_image, read_mask
from xaibench.errors import UserError
from xaibench.vocabulary import FILE_ROLES

INVERTED = 0.5  # vessels cover an eighth of a retina; more than half of it is background painted white


@dataclass(frozen=True)
class FolderReport:
    """The result of a check, one sentence a line.

    Attributes:
        facts: the layout, counts, sizes, the vessel and the thin fraction.
        problems: everything that is missing or wrong; empty if the folder can be used as it is.
    """

    facts: list[str]
    problems: list[str]


def check_folder(path: str | os.PathLike[str]) -> FolderReport:
    """Read every image of a folder or zip archive and report what is there and what is wrong.

    Args:
        path: a copy of a data set whose declaration has file patterns, or a folder of images and masks.

    Raises:
        UserError: if there is no such folder or archive.
    """
    source = open_source(path)
    check = _Check(source, list(source.broken))
    dataset = recognise(source)
    notes: list[str] = []
    if dataset is None:
        title = "images with masks"
        try:
            cases, problems = list_folder(source)
        except UserError as error:
            return FolderReport([f"{len(source.files)} images"], [*check.problems, str(error)])
        check.problems += [error.message for error in problems]
    else:
        title, cases = dataset.traits.title, match_files(dataset.traits, source.files)
        for part in sorted({case.part for case in cases}):
            inside = [case for case in cases if case.part == part]
            if not any(case.vessels for case in inside):
                notes.append(f"{part} part: {len(inside)} images without labels, which are not used")
                cases = [case for case in cases if case.part != part]
    for case in cases:
        check.add(case)
    if any(case.fov for case in cases):
        check.problems += [f"{case.image} has no field-of-view mask." for case in cases if case.image and not case.fov]
    return FolderReport([f"layout: {title}", *_counts(cases), *notes, *check.figures()], check.problems)


@dataclass
class _Check:
    """The problems and figures of the files of a source, read case by case."""

    source: Source
    problems: list[str]
    sizes: Counter[str] = field(default_factory=Counter)
    fractions: list[float] = field(default_factory=list)  # vessels of the field of view, per image
    vessel_pixels: int = 0
    thin_pixels: int = 0
    names: dict[str, str] = field(default_factory=dict)  # digest of an image or label to the name of its first file

    def add(self, case: CaseFiles) -> None:
        """Read the files of a case."""
        self.problems += [case.gap] if case.gap else []
        image = self._read(read_image, case.image)
        if image is not None:
            self.sizes[_size(image)] += 1
        masks: dict[str | None, np.ndarray] = {}
        for name in (case.vessels, case.fov, case.observer2):
            mask = self._read(read_mask, name)
            if mask is None:
                continue
            if not mask.any():
                self.problems.append(f"{name} is empty: nothing in it is white.")
            elif image is not None and mask.shape != image.shape[:2]:
                self.problems.append(f"{name} is {_size(mask)} but {case.image} is {_size(image)}.")
            else:
                masks[name] = mask
        for name, pixels in ((case.image, image), (case.vessels, masks.get(case.vessels))):
            if name is not None and pixels is not None:
                digest = hashlib.sha256(repr((pixels.shape, pixels.dtype)).encode() + pixels.tobytes()).hexdigest()
                if self.names.setdefault(digest, name) != name:
                    self.problems.append(f"{name} is the same image as {self.names[digest]}.")
        if image is not None and case.vessels in masks:
            self._measure(case, masks[case.vessels], masks[case.fov] if case.fov in masks else estimate_fov(image))

    def figures(self) -> list[str]:
        """Lines on sizes and vessels."""
        sizes = ", ".join(f"{count} of {size}" for size, count in self.sizes.most_common())
        lines = [f"sizes: {sizes}"] if sizes else []
        if self.fractions:
            low, mean, high = min(self.fractions), float(np.mean(self.fractions)), max(self.fractions)
            lines += [
                f"vessels: {mean:.1%} of the field of view ({low:.1%} to {high:.1%})",
                f"thin vessels: {self.thin_pixels / self.vessel_pixels:.1%} of vessel pixels",
            ]
        return lines

    def _read(self, read: Callable[[Source, str], np.ndarray], name: str | None) -> np.ndarray | None:
        try:
            return None if name is None else read(self.source, name)
        except UserError as error:
            self.problems.append(error.message)
            return None

    def _measure(self, case: CaseFiles, vessels: np.ndarray, fov: np.ndarray) -> None:
        vessels = vessels & fov
        fraction = float(vessels.sum() / fov.sum())
        if fraction > INVERTED:
            self.problems.append(f"{case.vessels} is white over {fraction:.0%} of the field of view: is it inverted?")
        elif not fraction:
            self.problems.append(f"{case.vessels} has no vessels inside the field of view.")
        else:
            self.fractions.append(fraction)
            self.vessel_pixels += int(vessels.sum())
            self.thin_pixels += int(is_thin(caliber_map(vessels), fov_scale(fov)).sum())


def _counts(cases: Sequence[CaseFiles]) -> list[str]:
    count = {role: sum(getattr(case, role) is not None for case in cases) for role in FILE_ROLES}
    return [
        f"images: {count['image']}",
        f"labels: {count['vessels']}",
        f"field-of-view masks: {count['fov'] or 'none, estimated from the images'}",
        f"second observers: {count['observer2'] or 'none'}",
    ]


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} × {pixels.shape[0]} px"
