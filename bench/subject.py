"""What is measured: one phantom of a DRIVE image's size, the network trained on DRIVE, and the length of its passes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, fx
from torch.nn.modules.module import register_module_forward_pre_hook

import xaibench as xb
from xaibench.scorer.folded import folded


@dataclass
class Subject:
    """A picture, a network and its scorer.

    Attributes:
        size: height and width, px.
        passes, gradients: pictures of any size that went through the network, without and with a gradient.
    """

    size: tuple[int, int]
    model_name: str = "unet-drive"
    passes: int = 0
    gradients: int = 0

    @cached_property
    def case(self) -> xb.Case:
        from xaibench.data.phantom import draw_phantom

        return draw_phantom(0, self.size)

    @cached_property
    def model(self) -> torch.nn.Module:
        model = xb.load_model(self.model_name)

        def count(module: torch.nn.Module, given: tuple[Tensor]) -> None:
            if isinstance(module, (type(model), fx.GraphModule)):
                with_gradient = torch.is_grad_enabled() and given[0].requires_grad
                self.passes += len(given[0]) * (not with_gradient)
                self.gradients += len(given[0]) * with_gradient

        # A hook on the network itself would keep the scorer from folding it.
        register_module_forward_pre_hook(count)
        return model

    @cached_property
    def scorer(self) -> xb.Scorer:
        scorer = xb.Scorer(self.model, xb.target("vessels", self.model, self.case))
        scorer.near(self.case.image)  # finds the micro-batch, the memory format and how far the network sees
        return scorer

    def yardstick(self, rounds: int = 5) -> tuple[list[float], list[float]]:
        """Seconds of passes and of passes with gradient, here and now.

        A machine is not equally fast at all times, so this is done before and after whatever is compared with them.
        """
        # Made before the first pass, since what is made in inference mode can't be differentiated.
        scorer, network = self.scorer, folded(self.model)
        one = self.case.image[None].contiguous(memory_format=torch.channels_last)
        leaf = self.case.image[None].clone().requires_grad_()
        passes, gradients = [], []
        for _ in range(rounds):
            start = time.perf_counter()
            with torch.inference_mode():
                network(one)
            middle = time.perf_counter()
            torch.autograd.grad(scorer(leaf).sum(), leaf)
            passes.append(middle - start)
            gradients.append(time.perf_counter() - middle)
        return passes, gradients
