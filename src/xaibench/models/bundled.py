"""The bundled networks."""

from pathlib import Path
from typing import Any

from xaibench.errors import UserError
from xaibench.models.networks.vessel_network import VesselNetwork
from xaibench.models.weights_file import load_weights, parameter_count, read_card
from xaibench.registry import ModelTraits, Plugin, get, model

FOLDER = Path(__file__).with_name("weights")


def _bundled(name: str, summary: str) -> Plugin[ModelTraits]:
    def load() -> VesselNetwork:
        return load_weights(FOLDER / f"{name}.safetensors")

    load.__doc__ = summary
    return model(name)(load)


unet_phantom = _bundled("unet-phantom", "U-Net trained on phantoms alone; it never saw a real eye.")

unet_drive = _bundled("unet-drive", "U-Net trained on the 20 training images of DRIVE.")
attention_drive = _bundled("attention-drive", "Attention U-Net trained on the 20 training images of DRIVE.")
segresnet_drive = _bundled("segresnet-drive", "SegResNet trained on the 20 training images of DRIVE.")

unet_chase = _bundled("unet-chase", "U-Net trained on ten images, of five children, of CHASE_DB1.")
attention_chase = _bundled("attention-chase", "Attention U-Net trained on ten images, of five children, of CHASE_DB1.")
segresnet_chase = _bundled("segresnet-chase", "SegResNet trained on ten images, of five children, of CHASE_DB1.")


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
