import json
from pathlib import Path

import pytest
import torch
from made_up import make_network
from safetensors.torch import save_file

from xaibench.errors import UserError
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.weights_file import load_weights, read_card, save_weights, weights_digest


@pytest.fixture
def file(tmp_path: Path, network: VesselUNet) -> Path:
    path = tmp_path / "new" / "eye.safetensors"
    save_weights(network, path, {"data": "phantom", "figures": {"auc": 0.97}})
    return path


def test_weights_come_back_with_their_card(file: Path, network: VesselUNet) -> None:
    model = load_weights(file)
    image = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(model(image), network(image), rtol=0, atol=0)
    assert weights_digest(model) == weights_digest(network)
    assert not any(m.training for m in model.modules())
    assert model.card["data"] == "phantom" and model.card["figures"] == {"auc": 0.97}
    assert model.architecture == network.architecture
    assert read_card(file) == model.card
    assert [p.name for p in file.parent.iterdir()] == [file.name]  # nothing temporary is left


def test_channels_last_weights_are_kept_by_value(tmp_path: Path) -> None:
    save_weights(make_network().to(memory_format=torch.channels_last), tmp_path / "w.safetensors", {})
    assert weights_digest(load_weights(tmp_path / "w.safetensors")) == weights_digest(make_network())


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.99])
def test_a_truncated_file(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="damaged") as caught:
        load_weights(file)
    assert file.name in caught.value.message and "\n" not in str(caught.value)


ARCHITECTURES = ({"channels": [4, 8, 8], "strides": [1, 2]}, {"channels": [4], "strides": []}, {"width": 3}, 3)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (None, r"other\.safetensors .*no xaibench card"),
        *(({"card": json.dumps(card)}, r"other\.safetensors") for card in ({}, [])),
        *(({"card": json.dumps({"architecture": a})}, r"other\.safetensors") for a in ARCHITECTURES),
    ],
)
def test_tensors_without_a_card_or_not_what_it_says(
    tmp_path: Path, network: VesselUNet, metadata: dict[str, str] | None, told: str
) -> None:
    path = tmp_path / "other.safetensors"
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path, metadata)
    with pytest.raises(UserError, match=told) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


def test_the_digest_tells_values_shapes_and_types_apart() -> None:
    digest = weights_digest(make_network())
    assert digest == weights_digest(make_network()) and len(digest) == 16
    other = make_network()
    with torch.no_grad():
        next(other.parameters())[0] += 1e-6
    assert weights_digest(other) != digest
    statistics = make_network()
    next(b for n, b in statistics.named_buffers() if n.endswith("running_mean"))[0] += 1e-3
    assert weights_digest(statistics) != digest
    assert weights_digest(torch.nn.Linear(2, 3)) != weights_digest(torch.nn.Linear(3, 2))
