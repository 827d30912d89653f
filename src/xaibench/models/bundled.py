"""The bundled networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xaibench.errors import UserError
from xaibench.models.networks.vessel_network import VesselNetwork
from xaibench.models.weights_file import load_weights, parameter_count, read_card
from xaibench.registry import get, model

FOLDER = Path(__file__).with_name("weights")


@model("unet-phantom")
def unet_phantom() -> VesselNetwork:
    """U-Net trained on phantoms alone; it never saw a real eye."""
    return load_weights(FOLDER / "unet-phantom.safetensors")


@model("unet-drive")
def unet_drive() -> VesselNetwork:
    """U-Net trained on the 20 training images of DRIVE."""
    return load_weights(FOLDER / "unet-drive.safetensors")


@model("attention-drive")
def attention_drive() -> VesselNetwork:
    """Attention U-Net trained on the 20 training images of DRIVE."""
    return load_weights(FOLDER / "attention-drive.safetensors")


@model("segresnet-drive")
def segresnet_drive() -> VesselNetwork:
    """SegResNet trained on the 20 training images of DRIVE."""
    return load_weights(FOLDER / "segresnet-drive.safetensors")


@model("unet-chase")
def unet_chase() -> VesselNetwork:
    """U-Net trained on ten images, of five children, of CHASE_DB1."""
    return load_weights(FOLDER / "unet-chase.safetensors")


@model("attention-chase")
def attention_chase() -> VesselNetwork:
    """Attention U-Net trained on ten images, of five children, of CHASE_DB1."""
    return load_weights(FOLDER / "attention-chase.safetensors")


@model("segresnet-chase")
def segresnet_chase() -> VesselNetwork:
    """SegResNet trained on ten images, of five children, of CHASE_DB1."""
    return load_weights(FOLDER / "segresnet-chase.safetensors")


def describe_weights(name: str) -> dict[str, Any]:
    """The bundled weights of a model.

    Args:
        name: of a registered model.

    Returns:
        ``weights``: the path of the file, or None if it is absent. If it is there, also ``network_parameters`` and
        ``card``, or ``error`` if it is damaged. Empty for a model of another package.
    """
    if get("model", name).function.__module__ != __name__:
        return {}
    path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        return {"weights": None}
    try:
        return {"weights": str(path), "network_parameters": parameter_count(path), "card": read_card(path)}
    except UserError as error:
        return {"weights": str(path), "error": str(error)}
