"""Where a dataset with a name lies, and which of its splits is meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from xaibench.data.io.source import Source, open_source
from xaibench.disk import is_there, named
from xaibench.errors import UserError, did_you_mean


def split_name(dataset: str, split: str, known: Sequence[str]) -> str:
    """The split meant, one of ``known``; ``train`` is short for ``training``.

    Raises:
        UserError: if there is no such split.

    Example:
        >>> split_name("drive", "train", ("test", "training"))
        'training'
    """
    name = "training" if split == "train" else split
    if name in known:
        return name
    hint = did_you_mean(name, known, f"Its splits: {', '.join(known)}.")
    raise UserError(f"The dataset {dataset} has no split {split!r}.", hint)


def data_place(variable: str, folder: str, root: str = "") -> Path:
    """Where a dataset should lie: ``root``, else the environment variable, else ``data/`` in the working directory.

    Args:
        variable: name of the environment variable; an empty value counts as none.
        folder: name below ``data/``, of a folder or, with ``.zip``, of an archive.
        root: what the user gave.

    Returns:
        An absolute path, which need not exist.

    Raises:
        UserError: if what was given, or the variable, is no name that a file can have.
    """
    given = root or os.environ.get(variable, "")
    if given:
        return named(given).absolute()
    standard = Path("data", folder).absolute()
    archive = standard.with_name(f"{folder}.zip")
    return archive if is_there(archive) and not is_there(standard) else standard


def named_source(variable: str, folder: str, root: str, hint: str) -> Source:
    """What lies where a dataset should, see :func:`data_place`.

    Raises:
        UserError: if nothing does; the hint says how to get it.
    """
    place = data_place(variable, folder, root)
    if not is_there(place):
        raise UserError(f"{folder} is not in {place}: there is nothing of that name.", hint)
    return open_source(place)
