"""A user's own folder of fundus images with vessel masks, in any of the usual arrangements."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from xaibench.data.cases import Cases
from xaibench.data.datasets.case_files import CaseFiles, cases_of
from xaibench.data.io.source import Source
from xaibench.errors import UserError, one_line
from xaibench.vocabulary import FILE_ROLES

LABELS = ("masks", "labels", "1st_manual", "manual1", "manual")
FOVS = ("fov", "mask")
SECONDS = ("2nd_manual", "manual2")
SUFFIXES = {"_mask": "vessels", "_vessels": "vessels", "_1stho": "vessels", "_fov": "fov", "_2ndho": "observer2"}
HINT = (
    "Arrange it as images/01.png with masks/01.png (and fov/01.png if there are any), or as 01.jpg beside 01_mask.png."
)


def folder_cases(source: Source, split: str) -> Cases:
    """All images of a plain folder or zip archive as cases, named after the folder and the files.

    Args:
        source: ``images/`` with ``masks/`` (or ``labels``, ``1st_manual``, ``manual1``, ``manual``) and perhaps
            ``fov/`` (or ``mask``); or ``X.jpg`` beside ``X_mask.png`` (or ``X_1stHO``, ``X_vessels``) and perhaps
            ``X_fov.png``.
        split: the user's choice; every split has all images, and the note says so.

    Raises:
        UserError: if there are no images, or the label of an image is missing or ambiguous.
    """
    if not source.files and source.broken:
        raise UserError(" ".join(source.broken), "Download it anew.")
    cases, problems = list_folder(source)
    if problems:
        raise problems[0]
    for case in cases:
        if case.gap:
            raise UserError(f"{case.gap[:-1]} in {source.root}.", HINT)
    name = one_line(source.root.name).removesuffix(".zip")
    note = f"{name} has no splits of its own, so each of them has all of its images."
    return cases_of(name, split, source, cases, note)


def list_folder(source: Source) -> tuple[list[CaseFiles], list[UserError]]:
    """Match images, labels and field-of-view masks by name.

    A mask belongs to the image of the same stem; else to the image whose stem it begins with (``21_mask`` to ``21``);
    else to the only image with the same leading part up to the first underscore, if that has a digit in it
    (``21_manual1`` to ``21_training``).

    Returns:
        The cases, and what is wrong with the names of the files.

    Raises:
        UserError: if there are no images, or several sets of them.
    """
    folders: dict[str, list[str]] = {}
    for name in source.files:
        folders.setdefault(str(PurePosixPath(name).parent), []).append(name)
    if not folders:
        raise UserError(f"There are no images in {source.root}.", HINT)
    by_lower = {path.lower(): path for path in folders}

    def beside(images: str, names: Sequence[str]) -> list[str]:
        siblings = (str(PurePosixPath(images).parent / name).lower() for name in names)
        return next((folders[by_lower[path]] for path in siblings if path in by_lower), [])

    roots = [path for path in folders if PurePosixPath(path).name.lower() == "images"]
    if paired := [path for path in roots if beside(path, LABELS)]:
        images = _only(source, paired)
        roles = {"vessels": LABELS, "fov": FOVS, "observer2": SECONDS}
        masks = {role: beside(images, names) for role, names in roles.items()}
        return _match(source, {"image": folders[images], **masks})
    flat = [path for path, names in folders.items() if any(_role(name) == "vessels" for name in names)] or roots
    if not flat and len(folders) == 1:
        flat = list(folders)
    if not flat:
        raise UserError(f"There are images in {source.root}, but no vessel masks where they should be.", HINT)
    names = folders[_only(source, flat)]
    return _match(source, {role: [name for name in names if _role(name) == role] for role in FILE_ROLES})


def _role(name: str) -> str:
    stem = PurePosixPath(name).stem.lower()
    return next((role for suffix, role in SUFFIXES.items() if stem.endswith(suffix)), "image")


def _only(source: Source, paths: Sequence[str]) -> str:
    """The one folder with images.

    Raises:
        UserError: if there are several.
    """
    if len(paths) > 1:
        sets = ", ".join(sorted(paths))
        raise UserError(f"{source.root} holds several sets of images: {sets}.", "Give one of them.")
    return paths[0]


def _match(source: Source, by_role: dict[str, list[str]]) -> tuple[list[CaseFiles], list[UserError]]:
    stems: dict[str, str] = {}
    problems: list[UserError] = []
    for name in by_role["image"]:
        stem = PurePosixPath(name).stem
        if stem in stems:
            problems.append(UserError(f"{stems[stem]} and {name} in {source.root} have the same name.", "Rename one."))
        stems.setdefault(stem, name)
    leading = Counter(map(_leading, stems))
    unique = {_leading(stem): stem for stem in stems if leading[_leading(stem)] == 1}
    cases: dict[str, dict[str, str]] = {stem: {"image": name} for stem, name in stems.items()}
    stray: list[CaseFiles] = []
    masks = [(role, name) for role in FILE_ROLES[1:] for name in by_role[role]]
    for role, name in masks:
        stem = PurePosixPath(name).stem
        owner = _owner(stem, stems, unique)
        if owner is None and role == "vessels":
            stray.append(CaseFiles(stem, vessels=name))
        elif owner is None:
            problems.append(UserError(f"The mask {name} in {source.root} has no image.", "Add it or remove the mask."))
        elif role in cases[owner]:
            both = f"{cases[owner][role]} and {name} in {source.root}"
            problems.append(UserError(f"{both} both belong to {stems[owner]}.", "Remove one."))
        else:
            cases[owner][role] = name
    return [CaseFiles(stem, **files) for stem, files in sorted(cases.items())] + stray, problems


def _owner(stem: str, stems: dict[str, str], unique: dict[str, str]) -> str | None:
    """The stem of the image that a mask belongs to; ``unique`` maps a leading part to the only image that has it."""
    if stem in stems:
        return stem
    begun = [s for s in stems if stem.startswith((f"{s}_", f"{s}-", f"{s}."))]
    return max(begun, key=len) if begun else unique.get(_leading(stem))


def _leading(stem: str) -> str:
    """The part up to the first underscore if it has a digit, else the whole stem."""
    first = stem.partition("_")[0]
    return first if any(c.isdigit() for c in first) else stem
