"""Which files make up a case, whatever the layout they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from xaibench.data.case import Case, make_case
from xaibench.data.cases import Cases
from xaibench.data.io.source import Source, read_image, read_mask
from xaibench.errors import UserError, one_line


@dataclass(frozen=True)
class Item:
    """The names of one case's files within a source; None for what is not there.

    Attributes:
        id: the case's name, which unlike a file's is always printable.
    """

    id: str
    image: str | None = None
    vessels: str | None = None
    fov: str | None = None
    observer2: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", one_line(self.id))

    @property
    def gap(self) -> str:
        """What keeps the files from being a case: a missing image or label, in one sentence; "" if nothing."""
        if self.image is None:
            return f"The mask {self.vessels or self.fov or self.observer2} has no image."
        return f"The image {self.image} has no label." if self.vessels is None else ""


def read_case(source: Source, item: Item) -> Case:
    """Read a case; the field of view is estimated where there is no mask of it.

    Raises:
        UserError: if the image or its label is missing, a file is unreadable, or the sizes differ.
    """
    if item.image is None or item.vessels is None:
        raise incomplete(source, item)
    return make_case(
        item.id,
        read_image(source, item.image),
        read_mask(source, item.vessels),
        None if item.fov is None else read_mask(source, item.fov),
        observer2=None if item.observer2 is None else read_mask(source, item.observer2),
    )


def item_cases(dataset: str, split: str, source: Source, items: Sequence[Item], note: str = "") -> Cases:
    """The cases of these items, in their order.

    Raises:
        UserError: if an image or its label is missing.
    """
    for item in items:
        if item.gap:
            raise incomplete(source, item)  # now, not after an hour of computing
    by_id = {item.id: item for item in items}
    return Cases(dataset, split, tuple(by_id), partial(_read_by_id, source, by_id), note)


def incomplete(source: Source, item: Item) -> UserError:
    """The error of an item that has a gap."""
    return UserError(
        f"{item.gap[:-1]} in {source.root}.", f"`xaibench data check {source.root}` lists all that is missing."
    )


def _read_by_id(source: Source, items: dict[str, Item], id: str) -> Case:
    return read_case(source, items[id])
