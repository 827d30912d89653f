"""A user's copy of a declared data set: its place, its files, and the cases of a split."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from xaibench.data.cases import Cases
from xaibench.data.datasets.case_files import CaseFiles, cases_of, match_files
from xaibench.data.io.source import Source, open_source
from xaibench.disk import is_there, named
from xaibench.errors import UserError, did_you_mean
from xaibench.registry import DatasetTraits, Plugin, available

_ALIASES = {"train": "training", "training": "train"}


@dataclass(frozen=True)
class LocalCopy:
    """A copy of a data set on disk, and the split to load of it.

    Attributes:
        dataset: the declaration.
        split: one of the declared splits.
        source: holds the files.
        files: of all cases, by part and id.
    """

    dataset: Plugin[DatasetTraits]
    split: str
    source: Source
    files: list[CaseFiles]

    @property
    def shortfall(self) -> str:
        """A sentence for a copy with fewer images than a complete one; "" for a complete one."""
        title, complete, count = self.dataset.traits.title, self.dataset.traits.images, len(self.files)
        return f"Only {count} of the {complete} images of {title} are there." if count < complete else ""

    def choose(self, tests: Callable[[CaseFiles], bool]) -> list[CaseFiles]:
        """The files of the split of a data set with the splits ``test``, ``training`` and ``all``.

        Args:
            tests: whether a case is in the split ``test``.
        """
        return [files for files in self.files if self.split == "all" or tests(files) == (self.split == "test")]

    def cases(self, files: Iterable[CaseFiles], note: str = "") -> Cases:
        """The cases with these files, in their order.

        Raises:
            UserError: if there are none, or an image or its label is missing.
        """
        declared, chosen = self.dataset.traits, list(files)
        if not chosen:
            raise UserError(
                f"The copy of {declared.title} in {self.source.root} has no images for the split {self.split!r}.",
                "Use split 'all'." if "all" in declared.splits else how_to_get(declared),
            )
        return cases_of(self.dataset.name, self.split, self.source, chosen, note, declared.scale)


def open_copy(dataset: Plugin[DatasetTraits], split: str, root: str = "") -> LocalCopy:
    """List the files of a user's copy of a data set.

    Args:
        dataset: its declaration has file patterns.
        split: the user's choice; ``train`` is short for ``training``.
        root: the user's choice of folder or archive; see :func:`copy_place` for the default.

    Raises:
        UserError: if there is no such split, or the place holds no file of the data set.
    """
    split, declared = resolve_split(dataset, split), dataset.traits
    place = copy_place(declared, root)
    missing = f"{declared.title} is not in {place}"
    if not is_there(place):
        raise UserError(f"{missing}: there is nothing of that name.", how_to_get(declared))
    source = open_source(place)
    files = match_files(declared, source.files)
    if not files:
        raise UserError(
            " ".join([f"{missing}: no {declared.example} and so on.", *source.broken]), how_to_get(declared)
        )
    return LocalCopy(dataset, split, source, files)


def resolve_split(dataset: Plugin[DatasetTraits], split: str) -> str:
    """The declared split that a user means; ``train`` and ``training`` are the same.

    A data set that declares no splits takes any.

    Raises:
        UserError: if there is no such split.
    """
    known = dataset.traits.splits
    if split not in known:
        split = _ALIASES.get(split, split)
    if known and split not in known:
        hint = did_you_mean(split, known, f"Its splits: {', '.join(known)}.", most=1)
        raise UserError(f"The dataset {dataset.name} has no split {split!r}.", hint)
    return split


def copy_place(declared: DatasetTraits, root: str = "") -> Path:
    """Where a data set should be: ``root``, else the environment variable, else ``data/`` in the working directory.

    Args:
        declared: names the variable, whose empty value counts as none, and the folder or zip archive below ``data/``.
        root: the user's choice.

    Returns:
        An absolute path, which need not exist.

    Raises:
        UserError: if the choice or the variable is no valid path.
    """
    given = root or os.environ.get(declared.variable, "")
    if given:
        return named(given).absolute()
    folder = Path("data", declared.title).absolute()
    archive = folder.with_name(f"{folder.name}.zip")
    return archive if is_there(archive) and not is_there(folder) else folder


def find_copy(declared: DatasetTraits) -> Path | None:
    """Where a data set is, see :func:`copy_place`; None if no labelled image of it is there."""
    try:
        place = copy_place(declared)
        return place if count_labelled(declared, open_source(place)) else None
    except UserError:
        return None


def how_to_get(declared: DatasetTraits) -> str:
    """The hint of an error about a missing data set."""
    licence = f" ({declared.licence})" if declared.licence else ""
    put = f"put it, unpacked or as zip files, into data/{declared.title}, or set {declared.variable} to where it is"
    return f"Get {declared.title}{licence} from {declared.source} and {put}."


def count_labelled(declared: DatasetTraits, source: Source) -> int:
    """The number of a data set's cases in a source that have both an image and its label."""
    return sum(not case.gap for case in match_files(declared, source.files))


def recognise(source: Source) -> Plugin[DatasetTraits] | None:
    """The registered data set with most labelled images in a source; None if no data set has one."""
    plugins = [plugin for plugin in available("dataset")[0] if plugin.traits.files]
    counts = [count_labelled(plugin.traits, source) for plugin in plugins]
    return plugins[counts.index(max(counts))] if any(counts) else None
