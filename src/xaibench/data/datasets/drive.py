"""DRIVE: 40 fundus photographs of a Dutch screening programme, 20 for training and 20 for testing."""

from __future__ import annotations

import re
from pathlib import Path

from xaibench.data.cases import Cases
from xaibench.data.datasets.case_files import Item, item_cases
from xaibench.data.datasets.location import data_place, named_source, split_name
from xaibench.data.io.source import Source, open_source
from xaibench.errors import UserError
from xaibench.registry import dataset

SPLITS = ("test", "training", "validation")
STAND_IN = ("36", "37", "38", "39", "40")  # training images that stand in for a test part without labels
VALIDATION = ("31", "32", "33", "34", "35")
HINT = (
    "Get DRIVE from https://drive.grand-challenge.org (free, registration) and put it, unpacked or as zip files, into "
    "data/DRIVE, or set XAIBENCH_DRIVE to where it is."
)
_FOLDERS = {"images": "image", "1st_manual": "vessels", "mask": "fov", "2nd_manual": "observer2"}
_FILE = re.compile(r"(?:.*/)?(training|test)/(images|1st_manual|2nd_manual|mask)/(\d\d)_[^/]*", re.IGNORECASE)


@dataset("drive")
def drive(*, split: str = "test", root: str = "") -> Cases:
    """DRIVE, 565 × 584 px, with field-of-view masks and, on the test part, a second observer [staal2004].

    ``training`` is images 21 to 40, ``test`` is 01 to 20, ``validation`` is 31 to 35, which are also in ``training``.
    Where the test part has no labels, as in today's download, ``test`` is 36 to 40 instead and ``training`` is 21 to
    35; the note of the cases says so.

    Args:
        split: ``"test"``, ``"training"`` (or ``"train"``) or ``"validation"``.
        root: folder or zip archive; by default ``XAIBENCH_DRIVE``, else ``data/DRIVE`` in the working directory.

    Raises:
        UserError: if DRIVE is not there or not complete, or there is no such split.
    """
    split = split_name("drive", split, SPLITS)
    source = named_source("XAIBENCH_DRIVE", "DRIVE", root, HINT)
    place = source.root
    training, test = drive_items(source)
    if not training and not test:
        missing = f"DRIVE is not in {place}: it has neither training/images nor test/images."
        raise UserError(" ".join([missing, *source.broken]), HINT)
    chosen, note = _choose(split, training, test)
    if not chosen:
        raise UserError(f"The copy of DRIVE in {place} has no labelled images for the split {split!r}.", HINT)
    for item in chosen:
        if item.image is not None and item.fov is None:
            raise UserError(f"The DRIVE image {item.image} in {place} has no field-of-view mask.", "Unpack DRIVE anew.")
    return item_cases("drive", split, source, chosen, note)


def _choose(split: str, training: list[Item], test: list[Item]) -> tuple[list[Item], str]:
    """The items of a split, and what the user should know of it."""
    labelled = any(item.vessels for item in test)
    if split == "validation":
        note = "DRIVE has no validation part: images 31–35 are used, which also belong to the training split."
        return [item for item in training if item.id in VALIDATION], note
    if split == "training" and not labelled:
        note = "This copy of DRIVE has no test labels: training images 36–40 are kept for testing, the others train."
        return [item for item in training if item.id not in STAND_IN], note
    if split == "test" and not labelled:
        note = (
            "This copy of DRIVE has no test labels: training images 36–40 stand in for the test set, so figures do not "
            "compare with published ones, and a network trained on all of 21–40, such as unet-drive, has seen them."
        )
        return [item for item in training if item.id in STAND_IN], note
    chosen = test if split == "test" else training
    note = f"Only {len(chosen)} of the 20 {split} images of DRIVE are there." if len(chosen) < 20 else ""
    return chosen, note


def drive_items(source: Source) -> tuple[list[Item], list[Item]]:
    """What there is of DRIVE's training and test parts in a source, each in the order of the ids."""
    found: dict[str, dict[str, dict[str, str]]] = {"training": {}, "test": {}}
    for name in source.files:
        if match := _FILE.fullmatch(name):
            part, folder, id = match[1].lower(), match[2].lower(), match[3]
            found[part].setdefault(id, {}).setdefault(_FOLDERS[folder], name)
    training, test = ([Item(id, **files) for id, files in sorted(ids.items())] for ids in found.values())
    return training, test


def find_drive() -> Path | None:
    """Where DRIVE is: ``XAIBENCH_DRIVE``, else ``data/DRIVE`` in the working directory; None if it is not there."""
    try:
        place = data_place("XAIBENCH_DRIVE", "DRIVE")
        training, test = drive_items(open_source(place))
    except UserError:
        return None
    return place if any(item.image and item.vessels for item in training + test) else None
