"""Networks that know nothing of this project, from a factory in a module of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.said import Run
from cli.strict_json import strict

FACTORIES = '''
import torch
from monai.networks.nets import AttentionUnet, SegResNet
from torch import nn


def attention_unet():
    torch.manual_seed(0)
    return AttentionUnet(spatial_dims=2, in_channels=3, out_channels=1, channels=(8, 16, 32), strides=(2, 2))


def seg_res_net():
    torch.manual_seed(0)
    return SegResNet(spatial_dims=2, in_channels=3, out_channels=1, init_filters=8)


class Block(nn.Sequential):
    def __init__(self, inside, outside):
        super().__init__(nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class PlainUNet(nn.Module):
    """As in a tutorial: pooling, bilinear enlarging, one skip connection."""

    def __init__(self):
        super().__init__()
        self.fine, self.coarse, self.up = Block(3, 8), Block(8, 16), Block(24, 8)
        self.pool, self.enlarge = nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        fine = self.fine(x)
        return self.out(self.up(torch.cat([fine, self.enlarge(self.coarse(self.pool(fine)))], 1)))


def plain_unet():
    torch.manual_seed(0)
    return PlainUNet()
'''
METHODS = ("gradcam", "hirescam[layer=last]", "saliency", "integrated-gradients[steps=3]", "deeplift", "lrp")


@pytest.mark.parametrize("factory", ["attention_unet", "seg_res_net", "plain_unet"])
def test_a_run_on_someone_elses_network(
    xaibench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_networks.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(folder)
    methods = [word for method in METHODS for word in ("--method", method)]
    data = ("--data", "phantom[size=128]", "--cases", "1", "--model", f"my_networks:{factory}")
    said = xaibench("run", *data, *methods, "--metric", "auroc-vessels", "--out", "theirs", "--json")
    document = strict(said.out)
    assert said.code == 0 and document["cells"]["failed"] == 0
    lost = {name for line in document["lost"] for name in line["what"]}
    assert lost <= {"second-observer"}  # phantoms have none
    assert {row["method"] for row in document["leaderboard"]} >= set(METHODS)
