import pytest
import torch

from xaibench.errors import UserError
from xaibench.models.network_interface import INTERFACE, NetworkInterface
from xaibench.models.networks.unet import VesselUNet


def test_todays_networks_are_as_the_interface_says(network: VesselUNet) -> None:
    image = INTERFACE.noise((40, 56), torch.device("cpu"))
    assert image.dtype == INTERFACE.dtype and INTERFACE.low <= image.min() < image.max() <= INTERFACE.high
    assert torch.equal(image, INTERFACE.noise((40, 56), torch.device("cpu")))
    with torch.inference_mode():
        logits = network(image)
    INTERFACE.check_images(image, (40, 56))
    INTERFACE.check_logits(network, logits, INTERFACE.size(image))
    assert INTERFACE.class_maps(logits).shape == (1, 40, 56)
    assert (INTERFACE.takes, INTERFACE.gives) == ("(N, 3, H, W) RGB in [0, 1]", "(N, 1, H, W) logits")


@pytest.mark.parametrize("shape", [(3, 40, 56), (1, 1, 40, 56), (1, 3, 56, 40), (1, 3, 1, 40, 56)])
def test_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"for a target of 40 × 56 px\. Give \(N, 3, 40, 56\)"):
        INTERFACE.check_images(torch.zeros(shape), (40, 56))


def test_another_interface_has_its_own_words_and_checks(network: VesselUNet) -> None:
    """The one place to change for several classes, other channels or volumes."""
    volumes = NetworkInterface(channels=1, classes=4, axes=("D", "H", "W"))
    image = volumes.noise((8, 16, 24), torch.device("cpu"))
    assert image.shape == (1, 1, 8, 16, 24) and volumes.size(image) == (8, 16, 24)
    volumes.check_images(image, (8, 16, 24))
    with pytest.raises(UserError, match=r"gives \(1, 1, 8, 16, 24\) for an image of 8 × 16 × 24 px.*\(N, 4, D, H, W\)"):
        volumes.check_logits(network, image, (8, 16, 24))
