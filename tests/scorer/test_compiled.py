"""A compiled network scores as the network does, and is left aside where something listens in on the network."""

from __future__ import annotations

import shutil

import pytest
import torch
from made_up import make_network, target_on
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.scorer import Scorer
from xaibench.scorer.compiled import compile_network
from xaibench.scorer.engine import Engine

compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler here")


@compiler
def test_scores_agree_to_rounding(eye: Case) -> None:
    network = make_network().eval()
    plain = Scorer(network, target_on(eye), engine=Engine())
    fast = Scorer(network, target_on(eye), engine=Engine(), compiled=compile_network(network, eye.image))
    for image in (eye.image, 1 - eye.image):
        torch.testing.assert_close(fast(image[None]), plain(image[None]), rtol=1e-5, atol=1e-5)
    assert fast.passes == 2


def test_it_is_used_for_passes_without_gradients_and_without_hooks_alone(eye: Case) -> None:
    network, seen = make_network().eval(), []

    def compiled(pictures: Tensor) -> Tensor:
        seen.append(len(pictures))
        return network(pictures)

    scorer = Scorer(network, target_on(eye), engine=Engine(), compiled=compiled)
    one = eye.image[None]
    scorer(one), scorer.probability(one), scorer.about(target_on(eye))(one)
    assert len(seen) == 3
    scorer(one.clone().requires_grad_()).backward()
    handle = next(network.modules()).register_forward_hook(lambda module, given, out: out + 1)
    hooked = scorer(one)
    handle.remove()
    assert len(seen) == 3 and not torch.equal(hooked, scorer(one)) and len(seen) == 4


def test_what_cannot_be_compiled_is_said(eye: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> nn.Module:
        class Broken(nn.Module):
            def forward(self, pictures: Tensor) -> Tensor:
                raise RuntimeError("no working C++ compiler was found\nand more")

        return Broken()

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(UserError, match="no working C\\+\\+ compiler was found\\.") as error:
        compile_network(make_network().eval(), eye.image)
    assert "--compile" in error.value.hint
