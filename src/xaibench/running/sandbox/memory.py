"""Whether a map fits into memory, told before it is begun: a process that the system kills can say no reason."""

import math
import os

import psutil
import torch

from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import explain
from xaibench.metrics.cost import measured
from xaibench.registry import Spec
from xaibench.scorer import Scorer, Target

LARGE = 1_500_000  # pixels, four times a DRIVE image; what is smaller needs no more than 1.5 GB with any method
PROBE = 384  # px, side of the window on which a method's need is measured
FREE = 0.9  # of the memory that is free, which a map may take
MOST = 12.0  # GB, which a map may take unless the environment's XAIBENCH_MEMORY says another number
_limit: float | None = None  # MB, of this process; None if it may take all that is free


def refuse_what_does_not_fit(spec: Spec, case: Case, scorer: Scorer, seed: int) -> None:
    """Measure what the method needs for a window of a large picture, from which its need for the whole follows.

    Memory grows with the picture's area: arrays of the picture's size and the activations of a pass are all there is.
    Pictures below 1.5 million pixels are not looked at.

    Raises:
        Skipped: if the map would need more than nine tenths of the memory that is free, or more than is allowed.
        UserError: if XAIBENCH_MEMORY is no number of gigabytes.
    """
    most = allowed_mb()
    pixels = case.fov.numel()
    if pixels < LARGE:
        return
    try:
        height, width = _window(case)
        need = needed_mb(spec, case, scorer, seed) * pixels / (height * width)
    except (Skipped, UserError):  # for a reason that may not hold for the whole, such as a patch larger than the window
        return
    if need > most:
        raise Skipped(
            f"it would need about {need / 1000:.1f} GB of memory, and {most / 1000:g} GB are allowed "
            "(set XAIBENCH_MEMORY to allow more)"
        )
    free = free_mb(scorer.device)
    if need > FREE * free:
        raise Skipped(f"it would need about {need / 1000:.1f} GB of memory, and {free / 1000:.1f} GB are free")


def needed_mb(spec: Spec, case: Case, scorer: Scorer, seed: int) -> float:
    """Peak memory of a map of the picture's middle, MB."""
    height, width = _window(case)
    top, left = (case.fov.shape[0] - height) // 2, (case.fov.shape[1] - width) // 2
    cut = (..., slice(top, top + height), slice(left, left + width))
    window = case.transformed(lambda t: t[cut], case.id)
    # Any target will do, as long as there is one.
    mask = torch.zeros_like(window.fov)
    mask[max(height // 2 - 8, 0) : height // 2 + 8, max(width // 2 - 8, 0) : width // 2 + 8] = True
    mask &= window.fov
    about = Scorer(scorer.model, Target("window", mask, window.fov, mask.float(), case.scale), device=scorer.device)
    need = 0.0
    for _ in range(2):  # the first time libraries are imported and kernels prepared, which the whole does not do again
        with measured(about) as cost:
            explain(about, window.image, method=spec, seed=seed, case=window)
        need = cost.peak_mb
    return need


def _window(case: Case) -> tuple[int, int]:
    """Rows and columns; a side that is shorter is taken whole."""
    height, width = case.fov.shape
    return min(PROBE, height), min(PROBE, width)


def allowed_mb() -> float:
    """Memory that a map may take, MB."""
    asked = os.environ.get("XAIBENCH_MEMORY", str(MOST))
    try:
        allowed = float(asked)
    except ValueError:
        allowed = math.nan
    if not allowed > 0:
        raise UserError(f"XAIBENCH_MEMORY is {asked!r}, which is no number of gigabytes.", "Set it to 12, say.")
    return 1000 * allowed


def free_mb(device: torch.device) -> float:
    """Memory that is free on the device, or that this process may still take, MB."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 1e6
    free = psutil.virtual_memory().available / 1e6
    return free if _limit is None else min(free, _limit - psutil.Process().memory_info().rss / 1e6)


def limit_to(most: float | None) -> None:
    """Say what this process may take at most, MB: a worker is one of several."""
    global _limit
    _limit = most
