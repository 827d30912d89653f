"""Methods that keep memory from map to map: told before the process is killed for it, which would cost all others."""

from collections import defaultdict

import psutil

from xaibench.running.sandbox.memory import allowed_mb

SHARE = 1 / 4  # of the memory that a map may take, by which the process may have grown
PER_PIXEL = 1e-3  # MB; what is kept of a picture until the next one is less
_grown: defaultdict[str, float] = defaultdict(float)  # by method, MB by which the process was larger one map later
_seen: list[tuple[str, float]] = []  # the first and the last map of this process: whose, and the memory before it, MB


class KeepsMemory(Exception):
    """A method after whose maps the process has grown and not shrunk again."""


def refuse_what_keeps_memory(method: str, pixels: int) -> None:
    """Call it right before each map, when what can be given back to the system has been.

    What the process has grown by since the map before counts for the method of that map. A method is refused once the
    process has grown by more than a quarter of what is allowed, at least 1 kB per pixel of the picture, and the method
    stands for more than half of it. What it keeps can't be freed, but it gets no more; a new process counts anew.

    Args:
        method: with its parameters.
        pixels: of the picture.

    Raises:
        KeepsMemory: then.
        UserError: if XAIBENCH_MEMORY is no number of gigabytes.
    """
    now = psutil.Process().memory_info().rss / 1e6
    if not _seen:
        _seen.extend([(method, now)] * 2)
    before, memory = _seen[1]
    _grown[before] += now - memory
    _seen[1] = (method, now)
    total = now - _seen[0][1]
    if total > max(SHARE * allowed_mb(), PER_PIXEL * pixels) and _grown[method] > total / 2:
        raise KeepsMemory(f"it has kept {_grown[method]:.0f} MB of memory from its maps before this one")
