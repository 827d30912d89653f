"""What tells networks of the same weights apart."""

import pytest
import torch
from nets import MAKERS, Function, make
from torch import nn

from xaibench.models.network_interface import INTERFACE
from xaibench.models.probe import probe_logits
from xaibench.record.keys import agree


@pytest.mark.parametrize("name", MAKERS)
def test_the_logits_of_a_network_are_its_own(name: str) -> None:
    model, image = make(name), INTERFACE.noise((128, 128), torch.device("cpu"))
    found = probe_logits(model)
    with torch.inference_mode():
        expected = model(image)[0, 0, ::8, ::8].flatten().tolist()
    assert len(found) == 256 and agree(found, expected)
    negated = Function(lambda self, images: -self.net(images), net=model)
    assert not agree(found, probe_logits(negated)) and not agree(found, found[1:])


@pytest.mark.parametrize(("takes", "kept"), [(256, 256), (99, 0)])
def test_a_network_that_takes_one_size_is_probed_with_it_or_not_at_all(takes: int, kept: int) -> None:
    fixed = Function(lambda self, images: self.conv(images).view(1, 1, takes, takes), conv=nn.Conv2d(3, 1, 1))
    assert len(probe_logits(fixed)) == kept
