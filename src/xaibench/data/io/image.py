"""One fundus photograph, of which nothing is known but its pixels."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from xaibench.data.anatomy.caliber import fov_scale
from xaibench.data.case import Case, make_case
from xaibench.data.io.field_of_view import estimate_fov
from xaibench.data.io.source import PICTURES, Source, read_image
from xaibench.disk import is_folder, is_there, named
from xaibench.errors import UserError


def load_image(path: str | os.PathLike[str]) -> Case:
    """A fundus photograph without labels, to be explained: any picture that :mod:`xaibench.data.io.decode` reads.

    The field of view is what a dark surround leaves, see :func:`~xaibench.data.io.field_of_view.estimate_fov`, and
    tells the size of a pixel. An image without such a surround is all field of view. Its pixels are taken for DRIVE's
    unless it is larger than DRIVE's retina, since a smaller image is rather a part of one.

    Args:
        path: of the file, whatever its ending.

    Returns:
        The case; ``labelled`` is false and ``id`` the file's name.

    Raises:
        UserError: if there is no such file, it cannot be read, or it shows nothing.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     grey = Image.linear_gradient("L").resize((40, 30)).point(lambda value: 128 + value // 4)
        ...     grey.save(f"{folder}/grey.png")
        ...     case = load_image(f"{folder}/grey.png")
        >>> case.id, tuple(case.image.shape), bool(case.fov.all()), case.scale, case.labelled
        ('grey.png', (3, 30, 40), True, 1.0, False)
    """
    file = named(path)
    if is_folder(file):
        inside = sorted(_pictures(file))
        raise UserError(
            f"{file} is a folder, not a picture.",
            f"Give one of those in it, such as {file / inside[0]}." if inside else "Give the name of a file.",
        )
    if not is_there(file):
        raise UserError(f"There is no file {file}.", _near(file))
    image = read_image(Source(file.parent.absolute(), {file.name: (file, ())}), file.name)
    if (image == image[0, 0]).all():
        raise UserError(f"{file} shows nothing: all of its pixels are alike.", "Give a fundus photograph.")
    fov = estimate_fov(image)
    scale = max(1.0, fov_scale(fov)) if fov.all() else None
    return make_case(file.name, image, fov=fov, scale=scale)


def _near(file: Path) -> str:
    """What may have been meant."""
    if not is_folder(file.parent):
        return f"There is no folder {file.parent} either."
    names = _pictures(file.parent)
    near = difflib.get_close_matches(file.name, names, n=1, cutoff=0.6)
    near = near or [n for n in names if Path(n).stem == file.stem][:1]
    return f"Did you mean {file.parent / near[0]}?" if near else "Check the path."


def _pictures(folder: Path) -> list[str]:
    """The names of the pictures in a folder; none if it is closed."""
    try:
        return [p.name for p in folder.iterdir() if p.suffix.lower() in PICTURES]
    except OSError:
        return []
