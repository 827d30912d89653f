"""The bundled networks."""

from __future__ import annotations

from pathlib import Path

from xaibench.models.networks.vessel_network import VesselNetwork
from xaibench.models.weights_file import load_weights
from xaibench.registry import model

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
