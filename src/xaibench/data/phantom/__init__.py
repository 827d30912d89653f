"""Synthetic fundus images with known vessel radii."""

FULL_SIZE = (584, 565)  # (H, W) of DRIVE
SMALLEST = 128  # px; a smaller image has no room for vessels


def phantom_id(seed: int) -> str:
    """The case id of the phantom of a seed."""
    return f"phantom-{seed:04d}"
