"""A single fundus photograph without labels."""

import difflib
import os
from pathlib import Path

from xaibench.data.anatomy.caliber import fov_scale
from xaibench.data.case import Case, make_case
from xaibench.data.io.field_of_view import estimate_fov
from xaibench.data.io.source import IMAGES, Source, read_image
from xaibench.disk import is_folder, is_there, named
from xaibench.errors import UserError


def load_image(path: str | os.PathLike[str]) -> Case:
    """Read a fundus photograph without labels as a case that can be explained.

    The field of view is estimated, see :func:`~xaibench.data.io.field_of_view.estimate_fov`, and its diameter gives the
    scale. An image without a dark surround is all field of view. It has DRIVE's scale unless it is larger than DRIVE's
    retina, since a smaller image is probably a crop.

    Args:
        path: of the file, in any format that :mod:`xaibench.data.io.decode` reads, with any ending.

    Returns:
        The case; ``labelled`` is false and ``id`` the file's name.

    Raises:
        UserError: if the file does not exist, cannot be read, or all its pixels are equal.

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
        images = sorted(_images(file))
        hint = f"Give one of those in it, such as {file / images[0]}." if images else "Give the name of a file."
        raise UserError(f"{file} is a folder, not an image.", hint)
    if not is_there(file):
        raise UserError(f"There is no file {file}.", _suggestion(file))
    image = read_image(Source(file.parent.absolute(), {file.name: (file, ())}), file.name)
    if (image == image[0, 0]).all():
        raise UserError(f"{file} shows nothing: all of its pixels are alike.", "Give a fundus photograph.")
    fov = estimate_fov(image)
    scale = max(1.0, fov_scale(fov)) if fov.all() else None
    return make_case(file.name, image, fov=fov, scale=scale)


def _suggestion(file: Path) -> str:
    """The image beside the missing one whose name is nearest, as a hint."""
    if not is_folder(file.parent):
        return f"There is no folder {file.parent} either."
    names = _images(file.parent)
    near = difflib.get_close_matches(file.name, names, n=1, cutoff=0.6)
    near = near or [n for n in names if Path(n).stem == file.stem][:1]
    return f"Did you mean {file.parent / near[0]}?" if near else "Check the path."


def _images(folder: Path) -> list[str]:
    """The names of the images in a folder; none if it cannot be read."""
    try:
        return [p.name for p in folder.iterdir() if p.suffix.lower() in IMAGES]
    except OSError:
        return []
