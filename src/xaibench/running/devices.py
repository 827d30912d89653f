"""Which device a run computes on, and which GPU each of its workers."""

import os
import socket
from collections import Counter
from collections.abc import Iterable

import torch

from xaibench.errors import UserError
from xaibench.running.cluster import Cluster


def visible_gpus() -> tuple[str, int]:
    """A name for the GPUs of this process, the same for all processes that see the same ones, and their number."""
    return f"{socket.gethostname()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}", torch.cuda.device_count()


def own_gpu(asked: str, taken: Iterable[str], visible: int) -> str:
    """The device of one more worker.

    Args:
        asked: ``"cpu"``, ``"cuda"`` for a GPU of its own, or ``"cuda:N"`` for that one.
        taken: the devices of the workers that see the same GPUs.
        visible: how many GPUs they see.

    Returns:
        What was asked for, or the GPU that the fewest workers have, the first one of several.

    Example:
        >>> own_gpu("cuda", ["cuda:0", "cuda:1", "cuda:0"], 2)
        'cuda:1'
    """
    if asked != "cuda" or visible < 1:
        return asked
    load = Counter(taken)
    return min((f"cuda:{i}" for i in range(visible)), key=lambda device: load[device])


def chosen_device(asked: str, cluster: Cluster | None = None) -> str:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` stands for on this machine.

    With workers ``cuda`` stands for a GPU for each, and what a cluster elsewhere has is found out there.

    Raises:
        UserError: if there is no such device.
    """
    there = cluster is not None and not cluster.local
    if asked == "auto" and not there:
        gpu = "cuda" if cluster is not None else "cuda:0"
        return gpu if torch.cuda.is_available() else "cpu"
    if asked == "auto":
        return asked
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise UserError(f"{asked!r} is no device.", "Give auto, cpu or cuda:N.") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"{asked!r} is a device that this version does not compute on.", "Give auto, cpu or cuda:N.")
    if device.type == "cuda" and not there and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"{asked} was asked for, and there are {torch.cuda.device_count()} CUDA devices.", "Give cpu.")
    return asked
