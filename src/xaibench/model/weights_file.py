"""Weights as safetensors with a card inside; nothing here ever unpickles."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from xaibench.errors import UserError
from xaibench.model.unet import VesselUNet


def save_weights(model: VesselUNet, path: Path, card: dict[str, Any]) -> None:
    """Write the weights and their card to one file, atomically.

    Args:
        model: the network.
        path: ends in ``.safetensors``.
        card: what a reader should know of the weights: data, recipe, figures, terms.
    """
    tensors = {k: v.detach().contiguous() for k, v in model.state_dict().items()}
    content = {"card": json.dumps(card | {"architecture": model.architecture}, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(save(tensors, metadata=content))
    temporary.replace(path)


def load_weights(path: Path) -> VesselUNet:
    """Read a file that :func:`save_weights` wrote; the model is in evaluation mode, its card in ``model.card``.

    Raises:
        UserError: if the file is missing, is a pickle, is damaged, or holds other tensors than its card says.
    """
    if not path.is_file():
        raise UserError(f"There is no weights file {path}.", "`xaibench list models` shows the bundled ones.")
    if path.suffix != ".safetensors":
        raise UserError(
            f"{path} is no safetensors file, and pickled weights are never loaded since they can run code.",
            "Save the state with safetensors, or give package.module:factory.",
        )
    card = read_card(path)
    try:
        with safe_open(path, framework="pt") as file:
            state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - the handle is no dict
        model = VesselUNet(**card["architecture"])
        model.load_state_dict(state)
    except (SafetensorError, RuntimeError, TypeError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} does not hold a network of this package: {_first_line(error)}.", "Train it anew."
        ) from error
    model.card = card
    return model.eval()


def read_card(path: Path) -> dict[str, Any]:
    """The card of a weights file, without reading the tensors."""
    try:
        with safe_open(path, framework="numpy") as file:
            card: dict[str, Any] = json.loads((file.metadata() or {})["card"])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise UserError(
            f"{path} is damaged or has no xaibench card: {_first_line(error)}.", "Train it anew."
        ) from error
    return card


def weights_digest(model: nn.Module) -> str:
    """First 16 hex digits of a SHA-256 over the names, shapes and values of all parameters and buffers."""
    h = hashlib.sha256(type(model).__qualname__.encode())
    for name, tensor in sorted(model.state_dict().items()):
        h.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        h.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return h.hexdigest()[:16]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".:")
