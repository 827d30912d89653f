"""Checks of an output path before the work begins."""

import os
from pathlib import Path

from xaibench.disk import is_folder, is_there, writing
from xaibench.errors import UserError


def names_folder(path: Path) -> bool:
    """Whether it can only be a folder: one is there, or it ends in ``..``."""
    return is_folder(path) or path.name == ".."


def writable(path: Path, force: bool) -> Path:
    """The path, if a file can be written there; its folder is created.

    Raises:
        UserError: if it is a folder, exists already (without ``force``), or cannot be written.
    """
    if names_folder(path):
        raise UserError(f"{path} is a folder.", "Give --out the name of a file.")
    if is_there(path) and not force:
        raise UserError(f"{path} exists already.", "Give another --out, or --force to replace it.")
    with writing(path):
        probe(path)
    return path


def probe(path: Path) -> None:
    """Write and remove a file beside a path; its folder is created.

    Raises:
        OSError: if it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside.touch()
    beside.unlink()
