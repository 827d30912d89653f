"""Loading of cases from the name of a data set or the path of a folder or zip archive."""

import os
import re
from pathlib import Path

from xaibench import registry
from xaibench.data.cases import Cases
from xaibench.data.datasets.folder import folder_cases
from xaibench.data.datasets.local_copy import recognise
from xaibench.data.io.source import open_source
from xaibench.disk import is_there
from xaibench.errors import UserError
from xaibench.registry import DatasetTraits, Spec


def load_cases(data: str | os.PathLike[str], *, split: str = "test", count: int | None = None) -> Cases:
    """The cases of a dataset by name, or of a folder or zip archive; each is read on access.

    Args:
        data: ``"phantom"``, ``"drive[root=…]"`` and so on, or a path to a copy of DRIVE, CHASE_DB1, STARE, HRF or a
            plugged-in data set, or to a folder of images and masks. A word that names a dataset means the dataset, even
            if a folder has the same name.
        split: which part; a plain folder has none and gives all its images.
        count: the largest number of cases, from the first on.

    Raises:
        UserError: if there is no such dataset, folder or split, something in it is missing, or ``count`` is below 1.
    """
    if count is not None and count < 1:
        raise UserError(f"{count} cases cannot be loaded.", "Ask for 1 or more, or leave it out for all of them.")
    if _is_path(data):
        source = open_source(data)
        dataset = recognise(source)
        if dataset is None:
            return folder_cases(source, split)[:count]
        spec = Spec(dataset, (("root", str(Path(data))),))
    else:
        spec = _dataset_spec(str(data))
    cases = spec(split=split)
    if not isinstance(cases, Cases):
        raise UserError(f"The dataset {spec.plugin.name!r} returned a {type(cases).__name__}, not Cases.", "Mend it.")
    return cases[:count]


def _dataset_spec(text: str) -> Spec[DatasetTraits]:
    try:
        return registry.parse("dataset", text)
    except UserError as error:
        if "[" in text or text in registry.names("dataset"):
            raise
        near = error.hint if error.hint.startswith("Did you mean") else "`xaibench list datasets` shows the datasets."
        raise UserError(f"{text!r} is neither a dataset nor a folder or zip archive.", near) from error


def _is_path(data: str | os.PathLike[str]) -> bool:
    """Whether the user means a path: it looks like one, or it exists and no dataset has that name."""
    if not isinstance(data, str):
        return True
    name = data.partition("[")[0].strip()
    if name in registry.names("dataset") or not data.strip():
        return False
    return bool(re.match(r"[./~\\]|[A-Za-z]:[\\/]", data)) or data.lower().endswith(".zip") or is_there(Path(data))
