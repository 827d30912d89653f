"""CHASE_DB1: fundus photographs of both eyes of English schoolchildren, two observers each."""

from __future__ import annotations

import re

from xaibench.data.cases import Cases
from xaibench.data.datasets.case_files import Item, item_cases
from xaibench.data.datasets.location import named_source, split_name
from xaibench.data.io.source import Source
from xaibench.errors import UserError
from xaibench.registry import dataset

SPLITS = ("test", "training", "all")
FULL = 28  # images, of children 01 to 14
HINT = (
    "Get CHASE_DB1 (CC BY 4.0) from Kingston University's research data and put it, unpacked or as a zip file, into "
    "data/CHASE_DB1, or set XAIBENCH_CHASE to where it is."
)
_ROLES = {None: "image", "1stho": "vessels", "2ndho": "observer2"}
_FILE = re.compile(r"(?:.*/)?Image_(\d\d[LR])(?:_(1stHO|2ndHO))?\.\w+", re.IGNORECASE)


@dataset("chase")
def chase(*, split: str = "test", root: str = "") -> Cases:
    """CHASE_DB1, 999 × 960 px at its native size, two observers, field of view estimated [fraz2012; owen2009].

    Of all 28 images, ``training`` is the customary first 20 (children 01 to 10) and ``test`` the last 8 (11 to 14). In
    a smaller copy ``test`` is children 06 to 10 and ``training`` the others; the note of the cases says so. Both eyes
    of a child always fall into the same split. ``all`` is everything.

    Args:
        split: ``"test"``, ``"training"`` (or ``"train"``) or ``"all"``.
        root: folder or zip archive; by default ``XAIBENCH_CHASE``, else ``data/CHASE_DB1`` in the working directory.

    Raises:
        UserError: if CHASE_DB1 is not there, an image has no label, or there is no such split.
    """
    split = split_name("chase", split, SPLITS)
    source = named_source("XAIBENCH_CHASE", "CHASE_DB1", root, HINT)
    place = source.root
    items = chase_items(source)
    if not items:
        raise UserError(" ".join([f"CHASE_DB1 is not in {place}: no Image_01L.jpg and so on.", *source.broken]), HINT)
    full = len(items) >= FULL
    tested = range(11, 15) if full else range(6, 11)
    chosen = [item for item in items if split == "all" or (int(item.id[:2]) in tested) == (split == "test")]
    if not chosen:
        raise UserError(f"The copy of CHASE_DB1 in {place} has no images for the split {split!r}.", "Use split 'all'.")
    note = (
        ""
        if full or split == "all"
        else f"This copy of CHASE_DB1 has {len(items)} of the {FULL} images: the test set is children 06–10, "
        "not the customary 11–14, so figures do not compare with published ones."
    )
    return item_cases("chase", split, source, chosen, note)


def chase_items(source: Source) -> list[Item]:
    """What there is of CHASE_DB1 in a source, in the order of the ids."""
    found: dict[str, dict[str, str]] = {}
    for name in source.files:
        if match := _FILE.fullmatch(name):
            role = _ROLES[match[2].lower() if match[2] else None]
            found.setdefault(match[1].upper(), {}).setdefault(role, name)
    return [Item(id, **files) for id, files in sorted(found.items())]
