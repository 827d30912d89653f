"""Networks that know nothing of this project, from a factory in a module of the user's own."""

import pytest
import torch
from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.segresnet import SegResNet
from nets import make
from torch import nn

from cli.said import Run
from cli.strict_json import strict


def attention_unet() -> nn.Module:
    torch.manual_seed(0)
    return AttentionUnet(spatial_dims=2, in_channels=3, out_channels=1, channels=(8, 16, 32), strides=(2, 2))


def seg_res_net() -> nn.Module:
    torch.manual_seed(0)
    return SegResNet(spatial_dims=2, in_channels=3, out_channels=1, init_filters=8)


def pooling_unet() -> nn.Module:
    """As in a tutorial: pooling, bilinear enlarging, one skip connection."""
    return make("pooling")


METHODS = ("gradcam", "hirescam[layer=last]", "saliency", "integrated-gradients[steps=3]", "deeplift", "lrp")


@pytest.mark.parametrize("factory", ["attention_unet", "seg_res_net", "pooling_unet"])
def test_a_run_on_someone_elses_network(xaibench: Run, factory: str) -> None:
    methods = [word for method in METHODS for word in ("--method", method)]
    data = ("--data", "phantom[size=128]", "--cases", "1", "--model", f"{__name__}:{factory}")
    said = xaibench("run", *data, *methods, "--metric", "auroc-vessels", "--out", "theirs", "--json")
    document = strict(said.out)
    assert said.code == 0 and document["cells"]["failed"] == 0
    lost = {name for line in document["lost"] for name in line["what"]}
    assert lost <= {"second-observer"}  # phantoms have none
    assert {row["method"] for row in document["leaderboard"]} >= set(METHODS)
