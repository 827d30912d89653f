"""Networks as users bring them, each with something that breaks methods made for classifiers."""

from collections.abc import Callable
from typing import Any

import torch
from made_up import PlainCNN, make_network, settled
from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.segresnet import SegResNet
from torch import Tensor, nn
from torch.nn import functional as F


class Function(nn.Module):
    """A network that is a function of itself, which has these parts, and of the images."""

    def __init__(self, function: Callable[[Any, Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, images: Tensor) -> Any:
        return self.function(self, images)


class Recorded(nn.Module):
    """A network that records the shape of each batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.shapes = network, []

    def forward(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        return self.network(images)


class Padded(nn.Module):
    """Pads to a multiple of 16 and cuts back, as networks need that refuse other sizes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return self.net(F.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate"))[..., :height, :width]


class PoolingUNet(nn.Module):
    """Max pooling, one ReLU module for all, an activation called as a function, an addition, bilinear enlarging."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.deep = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Conv2d(12, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first((images - 0.4) / 0.2)))
        x = self.relu(self.second(x)) + x
        deep = F.leaky_relu(self.deep(F.max_pool2d(x, 2)), 0.1)
        deep = F.interpolate(deep, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return self.head(torch.cat([x, deep], 1))


class Smooth(nn.Module):
    """Sigmoid, PReLU, layer and instance norm: no ReLU anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.InstanceNorm2d(6, affine=True)
        self.act = nn.PReLU(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.layer_norm = nn.LayerNorm(6)
        self.head = nn.Conv2d(6, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(images)))
        x = torch.sigmoid(self.second(x))
        x = self.layer_norm(x.movedim(1, -1)).movedim(-1, 1)
        return self.head(x)


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "own": make_network,
    "plain": PlainCNN,
    "pooling": PoolingUNet,
    "smooth": Smooth,
    "attention-unet": lambda: Padded(AttentionUnet(2, 3, 1, (8, 16, 32), (2, 2))),
    "segresnet": lambda: Padded(SegResNet(spatial_dims=2, in_channels=3, out_channels=1, init_filters=8)),
}


def make(name: str, seed: int = 1) -> nn.Module:
    """In evaluation mode, with settled random weights."""
    return settled(MAKERS[name], seed)


class Statements(nn.Module):
    """Activations, a sum and a product that overwrite what they are given, some as statements of their own.

    Args:
        overwrites: whether they do, or the same is written without.
    """

    def __init__(self, overwrites: bool) -> None:
        super().__init__()
        self.overwrites = overwrites
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.gate, self.head = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 1, 1)
        self.alpha = nn.Parameter(torch.tensor(0.3))

    def forward(self, images: Tensor) -> Tensor:
        if not self.overwrites:
            x = F.relu(F.relu(self.first(images)) * torch.sigmoid(self.alpha))
            y = F.leaky_relu(self.second(x), 0.1)
            y = (torch.add(y, x, alpha=2) - -1) * torch.sigmoid(self.gate(x))
            return self.head(F.relu(y))
        x = self.first(images)
        x.relu_()
        x.mul_(torch.sigmoid(self.alpha))
        F.relu(x, inplace=True)
        y = F.leaky_relu(self.second(x), 0.1)
        y.add_(x, alpha=2)
        same = y
        same -= -1
        y.mul_(torch.sigmoid(self.gate(x)))
        F.relu_(y)
        return self.head(y)


class OnAView(PlainCNN):
    """Overwrites two of the three colours where they lie."""

    def forward(self, images: Tensor) -> Tensor:
        images = images - 0.5
        images[:, :2].relu_()
        return super().forward(images)
