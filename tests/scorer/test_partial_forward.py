"""What follows a layer is what the whole network makes of a changed layer."""

from collections.abc import Callable

import pytest
import torch
from made_up import noise, settled
from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.segresnet import SegResNet
from nets import MAKERS, Padded, make
from torch import Tensor, nn

from xaibench.models.networks.unet import VesselUNet
from xaibench.scorer import fusion
from xaibench.scorer.partial_forward import partial_forward


def halved(output: Tensor) -> Tensor:
    return output * torch.tensor([0.5, 0.0]).repeat(len(output[0]))[: len(output[0]), None, None]


def expected(model: nn.Module, layer: nn.Module, image: Tensor, last: int = 0) -> Tensor:
    calls: list[int] = []

    def hook(_module: nn.Module, _given: object, output: Tensor) -> Tensor | None:
        calls.append(1)
        return halved(output) if len(calls) > last else None

    with torch.no_grad(), layer.register_forward_hook(hook):
        return model(image)


# Of two resolutions, which have every kind of layer, skip connection and container that the deeper ones have.
SHALLOW: dict[str, Callable[[], nn.Module]] = {
    "own": lambda: VesselUNet(channels=(4, 8), strides=(2,)),
    **{name: MAKERS[name] for name in ("plain", "pooling", "smooth")},
    "attention-unet": lambda: Padded(AttentionUnet(2, 3, 1, (4, 8), (2,))),
    "segresnet": lambda: Padded(SegResNet(2, 8, 3, 1, blocks_down=(1, 1), blocks_up=(1,))),
}


@pytest.mark.parametrize("name", SHALLOW)
def test_every_convolution_and_its_container_can_be_changed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "SIZES", ((40, 56),))  # each layer's folded network is verified on smaller images
    model, image = settled(SHALLOW[name], 1), noise(1, 3, 40, 56)
    layers = [m for n, m in model.named_modules() if n and any(isinstance(c, nn.Conv2d) for c in m.modules())]
    for layer in layers:
        if not isinstance(layer, nn.ModuleList):
            wanted = expected(model, layer, image)
            logits = partial_forward(model, layer, image)
            for _ in range(2):  # nothing that was kept has changed
                torch.testing.assert_close(logits(halved), wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


class InPlace(nn.Module):
    """Steps that overwrite what the layer and what earlier steps gave."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.layer, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 1, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        early = self.early(images)
        x = self.act(self.layer(early))
        early += x
        return self.head(early)


class Twice(InPlace):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer(self.act(self.layer(self.early(images)))))


class Wayward(InPlace):
    """Its way depends on what it sees."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.mean() > 0 else -images)


@pytest.mark.parametrize(("kind", "calls"), [(InPlace, 1), (Twice, 2), (Wayward, 1)])
def test_in_place_steps_layers_reached_twice_and_unknown_ways(kind: type[InPlace], calls: int) -> None:
    model, image = settled(kind, 1), noise(1, 3, 32, 40)
    wanted, logits = expected(model, model.layer, image, calls - 1), partial_forward(model, model.layer, image)
    for _ in range(3):
        torch.testing.assert_close(logits(halved), wanted, rtol=1e-5, atol=1e-6)
    assert not model.layer._forward_hooks


def test_what_comes_before_the_layer_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    class Early(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            ran.append(1)
            return super().forward(input)

    monkeypatch.setattr(fusion.fx.Tracer, "is_leaf_module", lambda self, m, name: isinstance(m, nn.Conv2d))
    model = nn.Sequential(Early(3, 4, 1), nn.Conv2d(4, 1, 1)).eval()
    logits = partial_forward(model, model[1], noise(1, 3, 16, 16))
    before = len(ran)
    for _ in range(5):
        logits(halved)
    assert len(ran) == before > 0


def test_where_someone_listens_in_the_network_itself_is_asked() -> None:
    model, image = make("own").eval(), noise(1, 3, 48, 48)
    layer = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    heard: list[int] = []
    with model.register_forward_hook(lambda *_: heard.append(1)):
        found = partial_forward(model, layer, image)(halved)
    assert len(heard) == 2
    torch.testing.assert_close(found, expected(model, layer, image), rtol=0, atol=0)
