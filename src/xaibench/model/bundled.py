"""The networks that come with the package."""

from __future__ import annotations

from pathlib import Path

from xaibench.model.unet import VesselUNet
from xaibench.model.weights_file import load_weights
from xaibench.registry import model

FOLDER = Path(__file__).with_name("weights")


@model("unet-phantom")
def unet_phantom() -> VesselUNet:
    """U-Net trained on phantoms alone; it never saw a real eye."""
    return load_weights(FOLDER / "unet-phantom.safetensors")


@model("unet-drive")
def unet_drive() -> VesselUNet:
    """U-Net trained on the 20 training images of DRIVE."""
    return load_weights(FOLDER / "unet-drive.safetensors")
