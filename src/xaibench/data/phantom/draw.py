"""Synthetic fundus images, drawn from a seed, in which the true radius of every vessel pixel is known."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from xaibench.data.case import Case, make_case
from xaibench.data.cases import Cases
from xaibench.data.phantom.raster import rasterise
from xaibench.data.phantom.retina import paint
from xaibench.data.phantom.tree import FIELD_RADIUS, grow_trees, place_landmarks
from xaibench.disk import unwritable, write_whole
from xaibench.errors import UserError
from xaibench.registry import dataset

FULL_SIZE = (584, 565)  # (H, W) of DRIVE
SPLITS = {"test": range(0, 20), "validation": range(20, 40), "train": range(1000, 1200)}
_FILL = 2 * FIELD_RADIUS / FULL_SIZE[1]  # diameter of the field of view as a share of the width
SMALLEST, LARGEST = 128, 8192  # px; no fundus camera has more


def phantom_id(seed: int) -> str:
    """What the phantom of that seed is called."""
    return f"phantom-{seed:04d}"


def draw_phantom(seed: int, size: tuple[int, int] = FULL_SIZE) -> Case:
    """Draw one synthetic fundus image; the same arguments give the same bits.

    The scale is always DRIVE's, 24 µm/px: a smaller picture is taken by a camera that sees less of the same retina.

    Args:
        seed: not negative; every seed is another eye, camera and light.
        size: (H, W) in px, each at least 128.

    Returns:
        A case whose ``vessels`` and ``caliber`` are the drawn geometry itself, with image values in multiples of 1/255.

    Raises:
        UserError: if the seed is negative or the size too small.

    Example:
        >>> case = draw_phantom(7, (128, 128))
        >>> case.id, tuple(case.image.shape), bool(case.vessels.any())
        ('phantom-0007', (3, 128, 128), True)
    """
    if seed < 0:
        raise UserError(f"Phantom seed {seed} is negative.", "Give a seed of 0 or more.")
    height, width = size
    if min(size) < SMALLEST:
        raise UserError(
            f"A phantom of {width} × {height} px is too small to hold vessels.", f"Ask for {SMALLEST} px or more."
        )
    geometry, surface, view = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    field_radius = _FILL * width / 2
    eye = place_landmarks(geometry)
    trees = grow_trees(geometry, eye, max(field_radius, FIELD_RADIUS))
    # A smaller field looks at some part of the full one.
    turn, away = view.uniform(0, 2 * np.pi), view.uniform(0, 0.9) * max(FIELD_RADIUS - field_radius, 0)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    origin = centre - away * np.array([np.cos(turn), np.sin(turn)])
    y, x = np.mgrid[:height, :width]
    fov = np.hypot(x - centre[0], y - centre[1]) <= field_radius
    raster = rasterise(surface, trees, (height, width), origin)
    image = paint(surface, eye, raster, fov, origin, field_radius)
    return make_case(phantom_id(seed), image, raster.vessels, fov, caliber=raster.radius, scale=1.0)


@dataset("phantom")
def phantom(*, split: str = "test", size: int = 0) -> Cases:
    """Synthetic fundus images with exactly known vessels and radii, drawn when asked for.

    Args:
        split: ``"train"`` (200 images), ``"validation"`` (20) or ``"test"`` (20); no seed is in two of them.
        size: side of a square picture in px; 0 for DRIVE's 565 × 584.

    Raises:
        UserError: for an unknown split, or too small or large a size.

    Example:
        >>> cases = phantom.function(split="test", size=128)
        >>> len(cases), cases.ids[7]
        (20, 'phantom-0007')
    """
    split = {"training": "train"}.get(split, split)  # as other datasets call it
    if split not in SPLITS:
        raise UserError(f"The phantoms have no split {split!r}.", f"Choose one of {', '.join(sorted(SPLITS))}.")
    shape = (size, size) if size else FULL_SIZE
    if min(shape) < SMALLEST:
        raise UserError(f"Phantoms of size={size} px are too small.", f"Ask for {SMALLEST} px or more.")
    if max(shape) > LARGEST:
        raise UserError(f"Phantoms of size={size} px are too large.", f"Ask for {LARGEST} px or less.")
    ids = tuple(map(phantom_id, SPLITS[split]))
    return Cases("phantom", split, ids, lambda name: draw_phantom(int(name.rpartition("-")[2]), shape))


def save_phantom(case: Case, folder: Path | str) -> None:
    """Write a case as ``images/ID.png``, ``masks/ID.png`` (vessels, 0 or 255) and ``fov/ID.png``.

    Raises:
        UserError: if the folder cannot be written to.
    """
    pictures = {
        "images": np.rint(case.image.numpy().transpose(1, 2, 0) * 255).astype(np.uint8),
        "masks": case.vessels.numpy().astype(np.uint8) * 255,
        "fov": case.fov.numpy().astype(np.uint8) * 255,
    }
    for part, pixels in pictures.items():
        path = Path(folder) / part / f"{case.id}.png"
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        try:
            write_whole(path, content.getvalue())
        except OSError as error:
            raise unwritable(path, error) from error
