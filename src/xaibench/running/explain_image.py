"""Maps of one image without labels: what ``xaibench explain`` draws."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from xaibench.data.anatomy.caliber import DRIVE_FOV_DIAMETER
from xaibench.data.case import Case
from xaibench.data.io.image import load_image
from xaibench.errors import Skipped, UserError
from xaibench.explainers.explain import check_labels, explain
from xaibench.models.model_loader import load_model
from xaibench.registry import ExplainerTraits, Spec, dataset_traits, parse
from xaibench.running.devices import chosen_device
from xaibench.running.events import watch_passes
from xaibench.running.sandbox.guard import reason
from xaibench.running.sandbox.memory import refuse_what_does_not_fit
from xaibench.scorer import Scorer, target
from xaibench.scorer.target import THRESHOLD

_OTHER_SCALE = 2.0  # ratio to the training scale from which on a warning is given


@dataclass(frozen=True)
class Outcome:
    """The map of one method, or the reason why there is none.

    Attributes:
        attribution: (H, W) float32; None if the method was skipped or failed.
        reason: one sentence; empty if there is a map.
        trace: the traceback of a failure; empty otherwise.
    """

    attribution: np.ndarray | None = None
    reason: str = ""
    trace: str = ""


@dataclass(frozen=True, eq=False)
class ImageRun:
    """One image, the methods to explain it with, and the network; see :func:`resolve_image`.

    Attributes:
        case: the image, without labels.
        methods: each once.
        model: the network, in evaluation mode.
        name: of the network, as the user gave it.
        target: ``"vessels"``, ``"thin"`` or ``"thick"``.
        device: where to compute.
    """

    case: Case
    methods: list[Spec[ExplainerTraits]]
    model: nn.Module
    name: str
    target: str
    device: str

    def notes(self) -> list[str]:
        """Size and field of view of the image, and a warning if its scale differs much from the training images'."""
        height, width = self.case.fov.shape
        across = int(max(self.case.fov.any(0).sum(), self.case.fov.any(1).sum()))
        whole = bool(self.case.fov.all())
        seen = "no dark surround, so all of it is field of view" if whole else f"field of view {across} px across"
        notes = [f"{self.case.id}: {width} × {height} px, {seen}."]
        card = getattr(self.model, "card", None)
        known = isinstance(card, dict) and str(card.get("dataset", "")) in ("drive", "phantom")
        if known and not 1 / _OTHER_SCALE <= self.case.scale <= _OTHER_SCALE:
            notes.append(
                f"{self.name} was trained on fields of view {DRIVE_FOV_DIAMETER:.0f} px across, this one has {across}: "
                "it may overlook vessels. Resized to that, the image may be explained better."
            )
        return notes

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer of network and target.

        Raises:
            UserError: if the network predicts no such pixel in this image.
        """
        try:
            return Scorer(self.model, target(self.target, self.model, self.case), device=self.device)
        except Skipped as why:
            what = "vessel" if self.target == "vessels" else f"{self.target} vessel"
            hint = "Is it a fundus photograph?" if self.target == "vessels" else "Try --target vessels."
            message = f"{self.name} finds no {what} in {self.case.id}, so there is nothing to explain."
            raise UserError(message, hint) from why

    @property
    def predicted(self) -> np.ndarray:
        """(H, W) bool, the predicted vessels in the field of view."""
        found: np.ndarray = ((self.scorer.target.prediction >= THRESHOLD) & self.case.fov).numpy()
        return found

    def explain(self, spec: Spec[ExplainerTraits], seed: int, watch: Callable[[str, int], object]) -> Outcome:
        """The map of one method.

        Args:
            spec: the method.
            seed: of a stochastic method.
            watch: called with the method's name and the number of passes so far.

        Raises:
            UserError: if the method cannot be used at all.
            Exception: of a failing method if it is the only one.
        """
        watch_passes(self.scorer, watch)(str(spec))
        try:
            refuse_what_does_not_fit(spec, self.case, self.scorer, seed)
            map_ = explain(self.scorer, self.case.image, method=spec, seed=seed, case=self.case)
            return Outcome(map_.numpy())
        except UserError:
            raise
        except Skipped as why:
            return Outcome(reason=f"{spec} cannot work here: {str(why).rstrip('.')}.")
        except Exception as error:  # a plugin may fail in any way; the others are drawn
            if len(self.methods) == 1:
                raise
            return Outcome(reason=f"{spec} failed: {reason(error).rstrip('.')}.", trace=traceback.format_exc())


def resolve_image(
    path: Path, methods: Sequence[str], *, target: str, model: str | Path | None, device: str
) -> ImageRun:
    """Look up the image, the methods and the network; nothing is computed.

    Args:
        path: of a fundus photograph.
        methods: names with parameters.
        target: ``"vessels"``, ``"thin"`` or ``"thick"``.
        model: name, weights file or ``package.module:factory``; the default for photographs if None.
        device: ``"auto"``, ``"cpu"`` or ``"cuda:N"``.

    Raises:
        UserError: for whatever does not exist or cannot be used.
    """
    specs = list({str(spec): spec for spec in (parse("explainer", method) for method in methods)}.values())
    case = load_image(path)
    for spec in specs:
        check_labels(spec, case)
    chosen = chosen_device(device)
    network = model or dataset_traits("photograph").default_model
    return ImageRun(case, specs, load_model(network), str(network), target, chosen)
