"""The cases of a data set, loaded one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from xaibench.data.case import Case  # imports PyTorch, which a declaration of a data set does not need


@dataclass(frozen=True)
class Cases(Sequence["Case"]):
    """The cases of a data set, each read from disk or drawn on each access; none is stored.

    Attributes:
        dataset: the data set's name in records, such as ``"drive"``.
        split: which part of it.
        ids: the case ids in order.
        load: turns an id into its case.
        note: one sentence that the user should know about this data (a split that stands in for missing labels), or "".
    """

    dataset: str
    split: str
    ids: tuple[str, ...]
    load: Callable[[str], Case]
    note: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Case: ...
    @overload
    def __getitem__(self, index: slice) -> Cases: ...
    def __getitem__(self, index: int | slice) -> Case | Cases:
        if isinstance(index, slice):
            return replace(self, ids=self.ids[index])
        return self.load(self.ids[index])

    def __iter__(self) -> Iterator[Case]:
        return map(self.load, self.ids)
