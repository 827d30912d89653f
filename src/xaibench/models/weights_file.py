"""Weights files: safetensors with a card in their metadata. Nothing is ever unpickled."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from xaibench.disk import is_file, write_whole
from xaibench.errors import UserError, first_line, one_line
from xaibench.models.networks.architectures import network_of
from xaibench.models.networks.vessel_network import VesselNetwork


def save_weights(model: VesselNetwork, path: Path, card: dict[str, Any]) -> None:
    """Write the weights and their card to one file, atomically.

    Args:
        model: the network.
        path: ends in ``.safetensors``.
        card: describes the weights: data, recipe, figures, terms.

    Raises:
        UserError: if it cannot be written.
    """
    tensors = {k: v.detach().contiguous() for k, v in model.state_dict().items()}
    content = {"card": json.dumps(card | {"architecture": model.architecture}, sort_keys=True)}
    write_whole(path, save(tensors, metadata=content))


def load_weights(path: Path) -> VesselNetwork:
    """Read a file that :func:`save_weights` wrote; the model is in evaluation mode, its card in ``model.card``.

    Raises:
        UserError: if the file is missing, a pickle or damaged, its tensors do not match its card, or a value is not
            finite.
    """
    if not is_file(path):
        raise UserError(f"There is no weights file {path}.", "`xaibench list models` shows the bundled ones.")
    if path.suffix != ".safetensors":
        raise UserError(
            f"{path} is no safetensors file, and pickled weights are never loaded since they can run code.",
            "Save the state with safetensors, or give path/to/nets.py:factory.",
        )
    card = read_card(path)
    try:
        state = load_file(path)
        with torch.device("meta"):  # without memory for the weights: a card can declare a network that is not there
            model = network_of(card["architecture"])
        _check_same(model, state)
        model = model.to_empty(device="cpu")
        model.load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError, TypeError, ValueError, KeyError, OverflowError) as error:
        raise UserError(
            f"{path} does not hold a network of this package: {first_line(error)}.", "Train it anew."
        ) from error
    model.card = card
    return model.eval()


def _check_same(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Check that the tensors are the network's and usable.

    Raises:
        ValueError: if a name, shape or type differs, a value is not finite, or a variance is negative.
    """
    wanted = model.state_dict()
    if wrong := sorted(set(wanted) ^ set(state)):
        what = "lacks" if wrong[0] in wanted else "has a strange"
        raise ValueError(f"it {what} {one_line(wrong[0])}, and {len(wrong) - 1} more do not fit either")
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:
            given, right = ((tuple(t.shape), str(t.dtype).removeprefix("torch.")) for t in (tensor, wanted[name]))
            raise ValueError(f"its {name} is {given}, not {right}")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"its {name} has values that are not finite")
        if (name.endswith("running_var") and (tensor < 0).any()) or (name == "std" and (tensor <= 0).any()):
            raise ValueError(f"its {name} is no spread of values")


def read_card(path: Path) -> dict[str, Any]:
    """The card of a weights file, without reading the tensors.

    Raises:
        UserError: if the file is damaged or has none.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            card = json.loads((file.metadata() or {})["card"])
    except (SafetensorError, KeyError, ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} is damaged or has no xaibench card: {first_line(error)}.", "Train it anew.") from error
    if not isinstance(card, dict) or not isinstance(card.get("architecture"), dict):
        raise UserError(f"{path} has a card that names no architecture.", "Train it anew.")
    return card


def parameter_count(path: Path) -> int:
    """The number of weights and biases in a file, without reading the tensors.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = [k for k in file.keys() if k.endswith((".weight", ".bias"))]  # noqa: SIM118 - the handle is no dict
            return sum(math.prod(file.get_slice(k).get_shape()) for k in names)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged: {first_line(error)}.", "Train it anew.") from error


def weights_digest(model: nn.Module) -> str:
    """First 16 hex digits of a SHA-256 over the class's name and the names, shapes, types and values of all tensors."""
    h = hashlib.sha256(type(model).__qualname__.encode())
    for name, tensor in sorted(model.state_dict().items()):
        h.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        h.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return h.hexdigest()[:16]
