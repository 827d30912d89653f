"""What is measured: one phantom of a DRIVE image's size, the network trained on DRIVE, and the length of its passes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, fx
from torch.nn.modules.module import register_module_forward_pre_hook

import xaibench as xb
from xaibench.scorer.fusion import folded

EVERY = 0.7  # s, between two looks at how long a pass takes while something runs
ROUNDS = 5  # of looks before and after it


@dataclass
class Beside:
    """How long passes took while something else was measured, s, and how long that was held up by them."""

    passes: list[float] = field(default_factory=list)
    gradients: list[float] = field(default_factory=list)
    seconds: float = 0.0


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

    def __post_init__(self) -> None:
        self._beside: Beside | None = None
        self._looked = 0.0

    @cached_property
    def case(self) -> xb.Case:
        from xaibench.data.phantom.draw import draw_phantom

        return draw_phantom(0, self.size)

    @cached_property
    def model(self) -> torch.nn.Module:
        model = xb.load_model(self.model_name)

        def count(module: torch.nn.Module, given: tuple[Tensor]) -> None:
            if isinstance(module, (type(model), fx.GraphModule)):
                with_gradient = torch.is_grad_enabled() and given[0].requires_grad
                self._look(with_gradient)
                self.passes += len(given[0]) * (not with_gradient)
                self.gradients += len(given[0]) * with_gradient

        # A hook on the network itself would keep the scorer from folding it.
        register_module_forward_pre_hook(count)
        return model

    @cached_property
    def scorer(self) -> xb.Scorer:
        scorer = xb.Scorer(self.model, xb.target("vessels", self.model, self.case))
        scorer.local_forward(self.case.image)  # finds the micro-batch, the memory format and how far the network sees
        return scorer

    @cached_property
    def network(self) -> torch.nn.Module:
        """What passes go through at best."""
        return folded(self.model)

    @contextmanager
    def beside(self) -> Iterator[Beside]:
        """Seconds of passes, with and without gradient, before, after and every now and then during what is measured.

        A machine is not equally fast at all times: between two moments a pass may change by a tenth. During it, only
        the kind of pass is looked at that is about to be made, so that no more memory is taken than without.
        """
        found = Beside()
        _ = self.network  # made outside inference mode
        self._rounds(found)
        found.seconds, self._beside, self._looked = 0.0, found, time.perf_counter()
        try:
            yield found
        finally:
            self._beside = None
        held_up = found.seconds
        self._rounds(found)
        found.seconds = held_up

    def _rounds(self, found: Beside) -> None:
        for _ in range(ROUNDS):
            for with_gradient in (False, True):
                self._pass(found, with_gradient)

    def _look(self, with_gradient: bool) -> None:
        found = self._beside
        if found is not None and time.perf_counter() > self._looked + EVERY:
            self._beside = None  # what is made here is not to be looked at again
            self._pass(found, with_gradient)
            self._beside, self._looked = found, time.perf_counter()

    def _pass(self, found: Beside, with_gradient: bool) -> None:
        counted = self.passes, self.gradients
        start = time.perf_counter()
        # Made anew, since what is made in inference mode can't be differentiated.
        picture = self.case.image[None].contiguous(memory_format=torch.channels_last)
        begin = time.perf_counter()
        if with_gradient:
            picture = picture.clone().requires_grad_()
            torch.autograd.grad(self.scorer.mean_over_target(self.network(picture)).sum(), picture)
            found.gradients.append(time.perf_counter() - begin)
        else:
            with torch.inference_mode():
                self.network(picture)
            found.passes.append(time.perf_counter() - begin)
        found.seconds += time.perf_counter() - start
        self.passes, self.gradients = counted
