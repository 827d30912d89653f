"""The files of one case, and the cases that a data set's file patterns find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from xaibench.data.cases import Cases
from xaibench.data.io.source import Source, read_image, read_mask
from xaibench.errors import UserError, one_line
from xaibench.registry import DatasetTraits

if TYPE_CHECKING:
    from xaibench.data.case import Case


@dataclass(frozen=True)
class CaseFiles:
    """The names of one case's files within a source; None for a file that is missing.

    Attributes:
        id: the case's name; unlike a file's name it is always printable.
        part: the part of the data set that the case is in, in lower case; "" if it has no parts.
    """

    id: str
    image: str | None = None
    vessels: str | None = None
    fov: str | None = None
    observer2: str | None = None
    part: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", one_line(self.id))

    @property
    def gap(self) -> str:
        """The missing image or label in one sentence; "" if nothing is missing."""
        if self.image is None:
            return f"The mask {self.vessels or self.fov or self.observer2} has no image."
        return f"The image {self.image} has no label." if self.vessels is None else ""


def match_files(declared: DatasetTraits, names: Iterable[str]) -> list[CaseFiles]:
    """The cases of a data set among file names, by part and id.

    Args:
        declared: whose patterns are matched. Of several files with one role in a case the first counts.
        names: relative names with forward slashes.

    Example:
        >>> declared = DatasetTraits(files={"image": r"(?P<id>\\d+)\\.png", "vessels": r"(?P<id>\\d+)_label\\.png"})
        >>> [(files.id, files.gap) for files in match_files(declared, ["eyes/2.png", "eyes/1_label.png", "eyes/1.png"])]
        [('1', ''), ('2', 'The image eyes/2.png has no label.')]
    """
    patterns = {role: re.compile(f"(?:.*/)?{files}", re.IGNORECASE) for role, files in declared.files.items()}
    cases: dict[tuple[str, str], dict[str, str]] = {}
    for name in names:
        for role, pattern in patterns.items():
            if match := pattern.fullmatch(name):
                groups = {"part": "", **match.groupdict()}
                key = groups["part"].lower(), groups["id"].lower()
                case = cases.setdefault(key, {"id": groups["id"], "part": key[0]})
                if role == "image" and role not in case:
                    case["id"] = groups["id"]  # spelled as in the image's name
                case.setdefault(role, name)
    return [CaseFiles(**files) for _, files in sorted(cases.items()) if "vessels" in files or not declared.unlabelled]


def cases_of(
    dataset: str, split: str, source: Source, files: Sequence[CaseFiles], note: str = "", scale: float | None = None
) -> Cases:
    """The cases with these files, in their order; the field of view of a case without a mask is estimated.

    Args:
        dataset, split, note: see :class:`~xaibench.data.cases.Cases`.
        source: holds the files.
        files: of each case.
        scale: see :func:`~xaibench.data.case.make_case`.

    Raises:
        UserError: if an image or its label is missing.
    """
    for case in files:
        if case.gap:  # told now, not after an hour of computing
            hint = f"`xaibench data check {source.root}` lists all that is missing."
            raise UserError(f"{case.gap[:-1]} in {source.root}.", hint)
    by_id = {case.id: case for case in files}
    return Cases(dataset, split, tuple(by_id), partial(_load_case, source, by_id, scale), note)


def _load_case(source: Source, cases: dict[str, CaseFiles], scale: float | None, id: str) -> Case:
    from xaibench.data.case import make_case  # imports PyTorch, which a listing of cases does not need

    files = cases[id]
    assert files.image is not None  # see cases_of
    image = read_image(source, files.image)
    names = (files.vessels, files.fov, files.observer2)
    vessels, fov, observer2 = (None if name is None else read_mask(source, name) for name in names)
    return make_case(id, image, vessels, fov, observer2=observer2, scale=scale)
