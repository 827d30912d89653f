"""What a network takes and gives, and the checks of both. No other module assumes it.

Today every network is a binary segmenter of RGB images: one class, three channels, two spatial dimensions. Code that
needs one of these figures, a test input or the map of the class asks :data:`INTERFACE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xaibench.errors import UserError, first_line

_LOW_SHARE, _HIGH_LEVEL = 0.1, 0.9  # probabilities: over 10 % are near 0, and the highest is above .9
_TOLERANCE = 1e-6  # by which a probability may leave [0, 1] through rounding


@dataclass(frozen=True)
class NetworkInterface:
    """The contract between a network and all that calls it.

    Attributes:
        channels: of an image.
        classes: logits per pixel.
        axes: names of the spatial dimensions.
        low, high: range of an image's values.
        dtype: of images and logits.
    """

    channels: int = 3
    classes: int = 1
    axes: tuple[str, ...] = ("H", "W")
    low: float = 0.0
    high: float = 1.0
    dtype: torch.dtype = torch.float32

    @property
    def takes(self) -> str:
        """The input in words."""
        return f"{_shape(self.channels, self.axes)} RGB in [{self.low:g}, {self.high:g}]"

    @property
    def gives(self) -> str:
        """The output in words."""
        return f"{_shape(self.classes, self.axes)} logits"

    def size(self, images: Tensor) -> tuple[int, ...]:
        """Spatial size of images or maps, with or without leading dimensions: (H, W)."""
        return tuple(images.shape[-len(self.axes) :])

    def class_maps(self, output: Tensor) -> Tensor:
        """(N, H, W): the map of the class from an output (N, 1, H, W)."""
        return output[:, 0]

    def noise(self, size: Sequence[int], device: torch.device) -> Tensor:
        """(1, 3, *size): the same uniform noise on every call, to try a network on."""
        noise = torch.rand(1, self.channels, *size, generator=torch.Generator().manual_seed(0), dtype=self.dtype)
        return (self.low + (self.high - self.low) * noise).to(device)

    def check_images(self, images: Tensor, size: tuple[int, ...]) -> None:
        """Refuse a batch that is not (N, 3, *size).

        Raises:
            UserError: then.
        """
        if tuple(images.shape[1:]) != (self.channels, *size):
            raise UserError(
                f"The scorer got images of shape {tuple(images.shape)} for a target of {_px(size)}.",
                f"Give {_shape(self.channels, size)}.",
            )

    def check_logits(self, model: nn.Module, logits: object, size: tuple[int, ...]) -> None:
        """Refuse an output that is not (N, 1, *size).

        Raises:
            UserError: then.
        """
        if not isinstance(logits, Tensor) or tuple(logits.shape[1:]) != (self.classes, *size):
            given = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise UserError(
                f"{type(model).__name__} gives {given} for an image of {_px(size)}.",
                f"It must give {self.gives}; wrap it in a module that does.",
            )

    def check_finite(self, model: nn.Module, logits: Tensor) -> None:
        """Refuse logits that are infinite or NaN.

        Raises:
            UserError: then.
        """
        if not logits.isfinite().all():
            raise UserError(
                f"{type(model).__name__} gives logits that are no finite numbers for an image of "
                f"{_px(self.size(logits))}.",
                "Check its weights, and what it divides by.",
            )

    def check_not_probabilities(self, model: nn.Module, prediction: Tensor) -> None:
        """Refuse a network whose output looks like probabilities: all in [0, 1], and many of them near 0.

        Logits of a background are negative.

        Args:
            model: the network, for its name.
            prediction: (H, W), the sigmoid of its output.

        Raises:
            UserError: then.
        """
        output = torch.logit(prediction.double())
        low, high = map(float, output.aminmax())
        in_range = low >= -_TOLERANCE and _HIGH_LEVEL < high <= 1 + _TOLERANCE
        if in_range and float((output < 0.05).double().mean()) > _LOW_SHARE:
            raise UserError(
                f"{type(model).__name__} gives probabilities, all of them in [0, 1], where logits are meant.",
                "Leave its last sigmoid out, or end with torch.logit.",
            )

    def refusal(self, image: Tensor, error: Exception) -> UserError:
        """The error of a network that raised on an image (3, H, W)."""
        return UserError(
            f"The model cannot take an image of shape {tuple(image[None].shape)}: "
            f"{type(error).__name__}: {first_line(error)}.",
            f"It must turn {self.takes} into {self.gives}.",
        )


INTERFACE = NetworkInterface()


def _shape(channels: int, axes: Sequence[Any]) -> str:
    return f"(N, {', '.join(map(str, (channels, *axes)))})"


def _px(size: Sequence[int]) -> str:
    return f"{' × '.join(map(str, size))} px"
