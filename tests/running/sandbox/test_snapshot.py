import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_up import draw_eye, make_network, target_on
from torch import nn

from xaibench.conformance.explainer_subjects import dotted_case, in_use, random_network, scorer_of
from xaibench.data.case import Case
from xaibench.running.sandbox.snapshot import Settings, State, same
from xaibench.scorer import Scorer

Change = Callable[[Scorer, Case], Any]


def first(scorer: Scorer) -> nn.Module:
    return next(m for m in scorer.model.modules() if isinstance(m, nn.Conv2d))


def transposed(scorer: Scorer, case: Case) -> None:
    weight = first(scorer).weight
    weight.data = weight.data.transpose(2, 3)


def other_module(scorer: Scorer, case: Case) -> None:
    parent = next(m for m in scorer.model.modules() if isinstance(m, nn.Sequential))
    parent[0] = nn.Identity()


WEIGHTS, MODULES, HOOKS = "the network's weights and buffers", "the network's modules", "hooks"
CHANGES: list[tuple[Change, str]] = [
    (lambda s, c: first(s).weight.data.mul_(2), WEIGHTS),
    (lambda s, c: first(s).weight.detach().numpy().fill(0), WEIGHTS),
    (lambda s, c: setattr(first(s).weight, "data", torch.zeros(3, 3)), WEIGHTS),
    (transposed, WEIGHTS),
    (lambda s, c: setattr(first(s), "weight", nn.Parameter(first(s).weight.detach().clone())), WEIGHTS),
    (lambda s, c: next(s.model.buffers()).add_(1), WEIGHTS),
    (other_module, MODULES),
    (lambda s, c: s.model.add_module("more", nn.ReLU()), MODULES),
    (lambda s, c: setattr(s.model, "forward", s.model.forward), MODULES),
    (lambda s, c: s.model.register_forward_hook(lambda *_: None), HOOKS),
    (lambda s, c: first(s).register_full_backward_hook(lambda *_: None), HOOKS),
    (lambda s, c: first(s).weight.register_hook(lambda g: g), HOOKS),
    (lambda s, c: nn.modules.module.register_module_forward_hook(lambda *_: None), HOOKS),
    (lambda s, c: setattr(s.model, "_forward_hooks", OrderedDict({1: lambda *_: None})), HOOKS),
    (lambda s, c: s.model.train(), "training modes"),
    (lambda s, c: setattr(first(s), "training", True), "training modes"),
    (lambda s, c: c.image.mul_(0.5), "the image"),
    (lambda s, c: c.image[0, 0, 0].fill_(torch.nan), "the image"),
    (lambda s, c: object.__setattr__(c, "image", c.image.clone()), "the image"),
    (lambda s, c: c.caliber[0, 0].fill_(-0.0), "the labels"),
    (lambda s, c: c.fov.numpy().fill(True), "the labels"),
    (lambda s, c: c.thin.logical_not_(), "the labels"),
    (lambda s, c: s.target.mask.fill_(True), "the target"),
    (lambda s, c: s._pixels.add_(1), "the target"),
    (lambda s, c: setattr(s, "target", replace(s.target, mask=~s.target.mask)), "the scorer"),
    (lambda s, c: setattr(s, "model", nn.Identity()), "the scorer"),
]


@pytest.mark.parametrize(("change", "what"), CHANGES, ids=[f"{i} {what}" for i, (_, what) in enumerate(CHANGES)])
def test_each_change_is_seen_and_put_back(change: Change, what: str) -> None:
    case = draw_eye()
    scorer = Scorer(make_network(), target_on(case, case.vessels.clone()))
    before, digest = scorer(case.image[None]), replace(case).digest
    state = State(scorer, case)
    scorer(case.image[None])
    assert state.changed() == []
    change(scorer, case)
    assert state.changed() == [what]
    state.restore()
    assert state.changed() == []
    assert same(scorer(case.image[None]), before) and replace(case).digest == digest
    state.restore()  # of what is as it was
    change(scorer, case)  # again: putting back has not blinded it
    assert state.changed() == [what]
    state.restore()
    assert same(scorer(case.image[None]), before)


def test_two_changes_are_both_named() -> None:
    """Of a network in the middle of training, in which everything is different from module to module."""
    case = dotted_case()
    case = replace(case, image=case.image.clone(), vessels=case.vessels.clone())
    scorer = scorer_of(case, in_use(random_network()))
    state = State(scorer, case)
    assert state.changed() == []
    next(scorer.model.buffers()).add_(1)
    scorer.model.eval()
    case.vessels[0, 0] ^= True
    assert set(state.changed()) == {WEIGHTS, "training modes", "the labels"}
    state.restore()
    assert state.changed() == []
    assert scorer.model.training and not scorer.model.get_submodule("bottleneck").training


def backward(scorer: Scorer, case: Case) -> None:
    with torch.enable_grad():
        scorer(case.image.clone().requires_grad_()[None]).sum().backward()


@pytest.mark.parametrize(
    "change",
    [
        backward,
        lambda s, c: s.model.zero_grad(),
        lambda s, c: s.model.zero_grad(set_to_none=False),
        lambda s, c: s.model.requires_grad_(False),
        lambda s, c: c.image.requires_grad_(),
    ],
    ids=["backward", "zero_grad", "zero_grad in place", "requires_grad", "image requires_grad"],
)
def test_gradients_are_put_back_and_are_no_change(change: Change) -> None:
    """Of a network in the middle of training, some of whose weights have gradients and some of which are frozen."""

    def gradients() -> list[tuple[bool, bytes]]:
        return [
            (t.requires_grad, b"" if t.grad is None else t.grad.numpy().tobytes())
            for t in (*scorer.model.parameters(), case.image)
        ]

    case = replace(dotted_case(), image=dotted_case().image.clone())
    scorer = scorer_of(case, in_use(random_network()))
    before, state = gradients(), State(scorer, case)
    assert any(grad for _, grad in before)
    for restore in (state.restore_gradients, state.restore):
        change(scorer, case)
        assert state.changed() == [] and gradients() != before
        restore()
        assert gradients() == before


SETTINGS: list[tuple[Callable[[], object], str]] = [
    (lambda: torch.set_grad_enabled(False), "whether gradients are recorded"),
    (lambda: torch.set_default_dtype(torch.float64), "torch's default type"),
    (lambda: torch.set_default_device("meta"), "torch's default device"),
    (lambda: torch.set_num_threads(torch.get_num_threads() + 1), "the number of threads"),
    (lambda: torch.use_deterministic_algorithms(True), "whether torch is deterministic"),
    (lambda: torch.backends.mkldnn.set_flags(False), "torch's kernels"),
    (lambda: torch.set_autocast_enabled("cpu", True), "automatic precision"),
    (lambda: np.seterr(all="raise"), "numpy's error handling"),
    (lambda: os.chdir("/"), "the working folder"),
    (lambda: setattr(sys, "stderr", None), "the standard streams"),
]


@pytest.mark.parametrize(("change", "what"), SETTINGS, ids=[what for _, what in SETTINGS])
def test_each_setting_is_seen_and_put_back(change: Callable[[], object], what: str) -> None:
    settings = Settings()
    assert settings.changed() == []
    change()
    assert settings.changed() == [what]
    settings.restore()
    assert settings.changed() == [] and Settings().changed() == []


def test_bits_are_compared_and_not_numbers() -> None:
    nan, zero = torch.tensor([torch.nan, 0.0]), torch.zeros(4, 2)
    assert same(nan, nan.clone()) and not same(zero, -zero) and torch.equal(zero, -zero)
    assert not same(zero, zero.double()) and not same(zero, torch.zeros(2, 4)) and same(zero.T, torch.zeros(2, 4))
    a = torch.arange(6).view(2, 3)
    assert not same(a.T, torch.arange(6).view(3, 2)) and same(a.T, a.T.contiguous())
