"""The datasets that are recognised by the names of their files, each with where it is looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xaibench.data.cases import Cases
from xaibench.data.datasets.case_files import Item
from xaibench.data.datasets.chase import chase, chase_items
from xaibench.data.datasets.drive import drive, drive_items
from xaibench.data.datasets.hrf import hrf, hrf_items
from xaibench.data.datasets.stare import stare, stare_items
from xaibench.data.io.source import Source


@dataclass(frozen=True)
class Layout:
    """A dataset's arrangement of files.

    Attributes:
        title: its name in sentences, and that of its folder below ``data/``.
        variable: the environment variable that says where it is.
        items: what there is of it in a source.
        load: gives its cases, called with ``split`` and ``root``.
    """

    title: str
    variable: str
    items: Callable[[Source], list[Item]]
    load: Callable[..., Cases]


LAYOUTS = {
    "drive": Layout("DRIVE", "XAIBENCH_DRIVE", lambda source: [i for part in drive_items(source) for i in part], drive),
    "chase": Layout("CHASE_DB1", "XAIBENCH_CHASE", chase_items, chase),
    "stare": Layout("STARE", "XAIBENCH_STARE", stare_items, stare),
    "hrf": Layout("HRF", "XAIBENCH_HRF", hrf_items, hrf),
}


def recognise(source: Source) -> str:
    """The layout of a source, by the first labelled image in it: one of ``LAYOUTS``, or ``"folder"``."""
    for name, layout in LAYOUTS.items():
        if any(item.image and item.vessels for item in layout.items(source)):
            return name
    return "folder"
