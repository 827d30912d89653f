"""STARE: 20 fundus photographs of an American clinic, half of them with disease, two observers each."""

from __future__ import annotations

import re

from xaibench.data.cases import Cases
from xaibench.data.datasets.case_files import Item, item_cases
from xaibench.data.datasets.location import named_source, split_name
from xaibench.data.io.source import Source
from xaibench.errors import UserError
from xaibench.registry import dataset

SPLITS = ("test", "training", "all")
FULL = 20  # images with labels, of some 400
TESTED = 162  # the least number of a test image: the last ten of the 20
HINT = (
    "Get STARE's images and the labels of both observers from https://cecas.clemson.edu/~ahoover/stare/probing and put "
    "them, unpacked or as a zip file, into data/STARE, or set XAIBENCH_STARE to where they are."
)
_ROLES = {None: "image", "ah": "vessels", "vk": "observer2"}
_FILE = re.compile(r"(?:.*/)?im(\d{4})(?:\.(ah|vk))?\.[a-z]+(?:\.gz)?", re.IGNORECASE)


@dataset("stare")
def stare(*, split: str = "test", root: str = "") -> Cases:
    """STARE, 700 × 605 px at its native size, two observers, field of view estimated [hoover2000].

    The labels of Adam Hoover (``ah``) are the truth, those of Valentina Kouznetsova (``vk``) the second observer. STARE
    has no split of its own: ``training`` is the first ten of its 20 labelled images (im0001 to im0139) and ``test`` the
    last ten (im0162 to im0324), and the note of the cases says so; papers that leave one image out do not compare.
    ``all`` is everything, for a network that was trained elsewhere.

    Args:
        split: ``"test"``, ``"training"`` (or ``"train"``) or ``"all"``.
        root: folder or zip archive; by default ``XAIBENCH_STARE``, else ``data/STARE`` in the working directory.

    Raises:
        UserError: if STARE is not there, or there is no such split.
    """
    split = split_name("stare", split, SPLITS)
    source = named_source("XAIBENCH_STARE", "STARE", root, HINT)
    place = source.root
    items = stare_items(source)
    if not items:
        missing = f"STARE is not in {place}: no im0001.ppm with im0001.ah.ppm and so on."
        raise UserError(" ".join([missing, *source.broken]), HINT)
    chosen = [item for item in items if split == "all" or (int(item.id[2:]) >= TESTED) == (split == "test")]
    if not chosen:
        raise UserError(f"The copy of STARE in {place} has no labelled images for the split {split!r}.", "Use 'all'.")
    notes = [] if split == "all" else ["STARE has no split of its own: the first ten images train, the last ten test."]
    notes += [f"Only {len(items)} of the {FULL} labelled images of STARE are there."] if len(items) < FULL else []
    return item_cases("stare", split, source, chosen, " ".join(notes))


def stare_items(source: Source) -> list[Item]:
    """What there is of STARE in a source, in the order of the ids; its other 377 photographs were never labelled."""
    found: dict[str, dict[str, str]] = {}
    for name in source.files:
        if match := _FILE.fullmatch(name):
            role = _ROLES[match[2].lower() if match[2] else None]
            found.setdefault(f"im{match[1]}", {}).setdefault(role, name)
    return [Item(id, **files) for id, files in sorted(found.items()) if "vessels" in files]
