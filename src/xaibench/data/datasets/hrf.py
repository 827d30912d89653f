"""HRF: 45 high-resolution fundus photographs, a third each of healthy, diabetic and glaucomatous eyes."""

from __future__ import annotations

import re

from xaibench.data.cases import Cases
from xaibench.data.datasets.case_files import Item, item_cases
from xaibench.data.datasets.location import named_source, split_name
from xaibench.data.io.source import Source
from xaibench.errors import UserError
from xaibench.registry import dataset

SPLITS = ("test", "training", "all")
FULL = 45
TRAINED = 5  # images of each kind that train, as in [orlando2017]
HINT = (
    "Get HRF (CC BY 4.0) from https://www5.cs.fau.de/research/data/fundus-images and put it, unpacked or as a zip "
    "file, into data/HRF, or set XAIBENCH_HRF to where it is."
)
_FOLDERS = {"images": "image", "manual1": "vessels", "mask": "fov"}
_FILE = re.compile(r"(?:.*/)?(images|manual1|mask)/(\d\d_(?:dr|g|h))(?:_mask)?\.[a-z]+", re.IGNORECASE)


@dataset("hrf")
def hrf(*, split: str = "test", root: str = "") -> Cases:
    """HRF, 3504 × 2336 px at its native size, with field-of-view masks, one observer [budai2013].

    ``training`` is the first five images of each kind (``h`` healthy, ``dr`` diabetic retinopathy, ``g`` glaucoma) and
    ``test`` the other ten, the split of [orlando2017]; HRF has none of its own. ``all`` is everything.

    Args:
        split: ``"test"``, ``"training"`` (or ``"train"``) or ``"all"``.
        root: folder or zip archive; by default ``XAIBENCH_HRF``, else ``data/HRF`` in the working directory.

    Raises:
        UserError: if HRF is not there, an image has no label, or there is no such split.
    """
    split = split_name("hrf", split, SPLITS)
    source = named_source("XAIBENCH_HRF", "HRF", root, HINT)
    place = source.root
    items = hrf_items(source)
    if not items:
        raise UserError(" ".join([f"HRF is not in {place}: no images/01_dr.JPG and so on.", *source.broken]), HINT)
    chosen = [item for item in items if split == "all" or (int(item.id[:2]) > TRAINED) == (split == "test")]
    if not chosen:
        raise UserError(f"The copy of HRF in {place} has no images for the split {split!r}.", "Use split 'all'.")
    note = f"Only {len(items)} of the {FULL} images of HRF are there." if len(items) < FULL else ""
    return item_cases("hrf", split, source, chosen, note)


def hrf_items(source: Source) -> list[Item]:
    """What there is of HRF in a source, in the order of the ids."""
    found: dict[str, dict[str, str]] = {}
    for name in source.files:
        if match := _FILE.fullmatch(name):
            found.setdefault(match[2].lower(), {}).setdefault(_FOLDERS[match[1].lower()], name)
    return [Item(id, **files) for id, files in sorted(found.items())]
