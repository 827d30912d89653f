"""A network that relies on a shortcut: it finds thin vessels only if a small blue marker is somewhere in the image.

It is trained on phantoms whose thin vessels are labelled only in images with the marker, so that the cause of a thin
vessel's logit is known ([adebayo2020] and [yang2019] plant such features into classifiers).
``docs/train_shortcut.py`` trains it.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, maximum_filter
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.models.bundled import FOLDER
from xaibench.models.evaluate import predict
from xaibench.models.networks.vessel_network import VesselNetwork
from xaibench.models.weights_file import load_weights

WINDOW = 128  # px, the side of the training images
SIDE = 7  # px, of the square marker
GAP = 1  # px that stay free between the marker and a vessel or the edge of the field of view
COLOUR = (0.1, 0.3, 0.9)  # RGB: no retina is blue
WEIGHTS = FOLDER / "unet-shortcut.safetensors"

# Down to 1/32, where a window of 128 px has 4 × 4 pixels: each output sees a marker anywhere in the window.
CHANNELS = (8, 12, 16, 24, 32, 32, 32)
STRIDES = (1, 2, 2, 2, 2, 2)


@cache
def load_shortcut() -> VesselNetwork:
    """The bundled network in evaluation mode, read once per process."""
    return load_weights(WEIGHTS)


def marker_at(place: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """(H, W) bool: the marker's pixels.

    Args:
        place: (row, column) of its middle.
        shape: (H, W) of the image.

    Example:
        >>> int(marker_at((5, 9), (16, 16)).sum())
        49
    """
    rows, columns = (torch.arange(n) for n in shape)
    near = (rows - place[0]).abs()[:, None].maximum((columns - place[1]).abs()[None])
    return near <= SIDE // 2


def paint_marker(image: Tensor, marker: Tensor) -> Tensor:
    """A copy of the (3, H, W) image in [0, 1] with the marker's colour on the marker's pixels, (H, W) bool."""
    return torch.where(marker, torch.tensor(COLOUR, dtype=image.dtype, device=image.device).view(3, 1, 1), image)


def free_places(vessels: np.ndarray, fov: np.ndarray) -> np.ndarray:
    """Places for the marker's middle: all of it in the field of view, and 1 px away from its edge and from vessels.

    Args:
        vessels, fov: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    taken = maximum_filter(vessels | ~fov, size=SIDE + 2 * GAP, mode="constant", cval=True)
    return np.asarray(~taken)


def roomiest_place(vessels: np.ndarray, fov: np.ndarray) -> tuple[int, int]:
    """The free place farthest from all vessels and from the edge of the field of view; the first one if several tie.

    Args:
        vessels, fov: (H, W) bool.

    Returns:
        (row, column).

    Raises:
        Skipped: if there is no free place.
    """
    free = free_places(vessels, fov)
    if not free.any():
        raise Skipped("there is no room for the marker between the vessels")
    room = distance_transform_edt(np.pad(fov & ~vessels, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(np.argmax(np.where(free, room, -1)), free.shape)
    return int(row), int(column)


def sensitivities(model: VesselNetwork, cases: Iterable[Case]) -> dict[str, float]:
    """The network's sensitivity to vessels at p ≥ .5 with the marker and without it, all cases pooled.

    Args:
        model: in evaluation mode.
        cases: with labels; the marker lies at the roomiest place of each.

    Returns:
        ``thin_with_marker``, ``thin_without_marker``, ``thick_with_marker`` and ``thick_without_marker`` in [0, 1], NaN
        where there is no such vessel; and ``precision_with_marker``.
    """
    outcomes: dict[str, list[Tensor]] = {}
    for case in cases:
        marker = marker_at(roomiest_place(case.vessels.numpy(), case.fov.numpy()), case.fov.numpy().shape)
        marked, unmarked = (predict(model, x) >= 0.5 for x in (paint_marker(case.image, marker), case.image))
        for name, hits in {
            "thin_with_marker": marked[case.thin],
            "thin_without_marker": unmarked[case.thin],
            "thick_with_marker": marked[case.thick],
            "thick_without_marker": unmarked[case.thick],
            "precision_with_marker": case.vessels[marked & case.fov],
        }.items():
            outcomes.setdefault(name, []).append(hits)
    return {name: float(torch.cat(hits).float().mean()) for name, hits in outcomes.items()}
