"""Drawing and saving of phantoms: synthetic fundus images in which the radius of every vessel pixel is known."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from xaibench.data.case import Case, make_case
from xaibench.data.phantom import FULL_SIZE, SMALLEST, phantom_id
from xaibench.data.phantom.raster import rasterise
from xaibench.data.phantom.retina import Scene, paint
from xaibench.data.phantom.tree import FIELD_RADIUS, grow_trees, place_landmarks
from xaibench.disk import write_whole
from xaibench.errors import UserError

_FILL = 2 * FIELD_RADIUS / FULL_SIZE[1]  # diameter of the field of view as a share of the width


def draw_phantom(seed: int, size: tuple[int, int] = FULL_SIZE) -> Case:
    """Draw one synthetic fundus image; the same arguments give the same bits.

    The scale is always DRIVE's, 24 µm/px: a smaller image shows less of the same retina.

    Args:
        seed: not negative; each seed gives another eye, camera and light.
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
    raster = rasterise(surface, trees, size, origin)
    scene = Scene(surface, eye, size, origin, field_radius)
    image = paint(scene, raster)
    return make_case(phantom_id(seed), image, raster.vessels, scene.fov, caliber=raster.radius, scale=1.0)


def save_phantom(case: Case, folder: Path | str) -> None:
    """Write a case as ``images/ID.png``, ``masks/ID.png`` (vessels, 0 or 255) and ``fov/ID.png``.

    Raises:
        UserError: if the folder cannot be written to.
    """
    images = {
        "images": np.rint(case.image.numpy().transpose(1, 2, 0) * 255).astype(np.uint8),
        "masks": case.vessels.numpy().astype(np.uint8) * 255,
        "fov": case.fov.numpy().astype(np.uint8) * 255,
    }
    for part, pixels in images.items():
        path = Path(folder) / part / f"{case.id}.png"
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        write_whole(path, content.getvalue())
