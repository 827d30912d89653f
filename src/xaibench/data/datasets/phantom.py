"""Phantoms: synthetic fundus images with exactly known vessels, as a data set."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from xaibench.data.cases import Cases
from xaibench.data.datasets.local_copy import resolve_split
from xaibench.data.phantom import FULL_SIZE, SMALLEST, phantom_id
from xaibench.errors import UserError
from xaibench.registry import dataset

if TYPE_CHECKING:
    from xaibench.data.case import Case

SEEDS = {"test": range(0, 20), "validation": range(20, 40), "train": range(1000, 1200)}  # of each split
LARGEST = 8192  # px; no fundus camera has more


@dataset(
    "phantom",
    terms="The images are synthetic phantoms and may be shown freely.",
    splits=tuple(SEEDS),
    scale=1.0,
    default_model="unet-phantom",
)
def phantom(*, split: str = "test", size: int = 0) -> Cases:
    """Synthetic fundus images with exactly known vessels and radii, drawn on demand.

    Args:
        split: ``"train"`` (200 images), ``"validation"`` (20) or ``"test"`` (20); no seed is in two of them.
        size: side of a square image in px; 0 for DRIVE's 565 × 584.

    Raises:
        UserError: for an unknown split, or too small or large a size.

    Example:
        >>> cases = phantom.function(split="test", size=128)
        >>> len(cases), cases.ids[7]
        (20, 'phantom-0007')
    """
    split = resolve_split(phantom, split)
    if size and size < SMALLEST:
        raise UserError(f"Phantoms of size={size} px are too small.", f"Ask for {SMALLEST} px or more.")
    if size > LARGEST:
        raise UserError(f"Phantoms of size={size} px are too large.", f"Ask for {LARGEST} px or less.")
    shape = (size, size) if size else FULL_SIZE
    return Cases("phantom", split, tuple(map(phantom_id, SEEDS[split])), partial(_draw, shape))


def _draw(shape: tuple[int, int], id: str) -> Case:
    from xaibench.data.phantom.draw import draw_phantom  # imports PyTorch, which a listing of cases does not need

    return draw_phantom(int(id.rpartition("-")[2]), shape)
