"""What a run is to compute: a grid of methods and cases, and which of its cells are there already."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from xaibench import registry
from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.explainers.explain import Method
from xaibench.record.keys import map_keys, score_identity, score_keys
from xaibench.record.store import Store
from xaibench.registry import MetricTraits, Plugin, Spec

CURVES = ("srg", "deletion", "insertion")
FILLS = ("blur", "mean")  # beside the primary one, which is the metrics' default
FEW_STEPS = 10  # of curves that stand beside the main ones; their areas are some .01 below those of 40 steps
QUICK_STEPS = 6  # of the quick suite's; some .03 below
# What hangs on the share, and on where thin ends: at 1 or 2 px at DRIVE's scale instead of 1.5. A little more, since
# radii on a grid are just these, and DRIVE's own fields of view are up to 1 % smaller than 540 px.
RADII = (1.1, 2.1)
MORE = (
    "context[share=0.9]",
    *(f"{m}[radius={r}]" for m in ("auroc-thin", "thin-gap", "thin-gap-matched") for r in RADII),
)
SEGMENTERS = ("thick", "marker")  # of the truth metrics, beside the linear one
BESIDE = ("srg-thin", "srg-thick", "irof")  # curves of their own beside the run's target and fill


@dataclass(frozen=True)
class Suite:
    """A named choice.

    Attributes:
        name: of the suite.
        methods: by name; every registered explainer if empty.
        fills: beside the primary one, whose curves have half the steps.
        cases: how many, None for all.
        steps: how many a metric's curves have, None for its default.
    """

    name: str
    methods: tuple[str, ...]
    fills: tuple[str, ...]
    cases: int | None
    steps: Callable[[Plugin], int | None] = lambda m: None


SUITES = {
    "quick": Suite(
        "quick",
        ("gradcam", "gradcam[layer=decoder-1/2]", "saliency", "deeplift", "lrp"),
        (),
        5,
        steps=lambda m: QUICK_STEPS,
    ),
    "standard": Suite(
        "standard",
        (
            *("gradcam", "gradcam[layer=decoder-1/2]", "gradcam++", "hirescam", "layercam", "seg-xrescam", "eigencam"),
            *("saliency", "input-x-gradient", "integrated-gradients", "smoothgrad", "guided-backprop"),
            *("guided-gradcam", "deeplift", "lrp", "kernel-shap", "lime", "occlusion", "feature-ablation"),
        ),
        FILLS,
        None,
        steps=lambda m: FEW_STEPS if m.name in BESIDE else None,
    ),
    "full": Suite("full", (), FILLS, None),
    "truth": Suite("truth", (), (), None),
}


@dataclass(frozen=True)
class Setting:
    """What decides all cells of a run beside method and case."""

    dataset: str
    split: str
    model: str
    weights_digest: str
    target: str
    seed: int
    metrics: tuple[Spec, ...]

    @property
    def named(self) -> dict[str, Any]:
        """What records and the manifest hold of it, by the names of their fields."""
        return {name: value for name, value in vars(self).items() if name != "metrics"}


class Plan:
    """The cells of a run on any case; what all cases share is written out and hashed once.

    Args:
        methods: explainers, controls among them.
        setting: the rest of what decides a cell.

    Attributes:
        metrics: the setting's, by identity, see :func:`~xaibench.record.keys.score_identity`.
    """

    def __init__(self, methods: Iterable[Spec], setting: Setting) -> None:
        self.setting = setting
        self.metrics = {
            score_identity(metric=m.plugin.name, parameters=m.parameters, version=m.plugin.distribution[1]): m
            for m in setting.metrics
        }
        self._keys = [
            (
                spec,
                map_keys(
                    method=spec.plugin.name,
                    parameters=spec.parameters,
                    distribution=spec.plugin.distribution[0],
                    version=spec.plugin.distribution[1],
                    weights_digest=setting.weights_digest,
                    target=setting.target,
                    seed=setting.seed,
                ),
            )
            for spec in methods
        ]

    def cells(self, case_digest: str) -> list[Cell]:
        """One per method, in order, for the case of that digest."""
        return [Cell(spec, key(case_digest), self) for spec, key in self._keys]

    def scores(self, map_key: str, identities: Collection[bytes]) -> dict[str, Spec]:
        """The keys of the scores of a map with these identities, each with its metric."""
        return dict(zip(score_keys(map_key, identities), map(self.metrics.__getitem__, identities), strict=True))


@dataclass(frozen=True)
class Cell:
    """One (explainer, case) of a run.

    Attributes:
        spec: the method.
        key: the map's key, under which the record is kept.
        plan: of the run.
    """

    spec: Spec
    key: str
    plan: Plan

    @cached_property
    def scores(self) -> dict[str, Spec]:
        """Score key to metric; hashed when first asked for, since most cells of a resumed run never are."""
        return self.plan.scores(self.key, self.plan.metrics)


class _Stored(NamedTuple):
    """What the folder holds of a cell: the map's status and reason, and the identities of the missing scores."""

    status: str
    reason: str
    lacking: tuple[bytes, ...]


class Kept:
    """What a store holds of a plan, found by reading its records once, without their curves.

    Args:
        store: where records are kept.
        plan: which scores are asked for.
    """

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store, self._plan = store, plan
        self._cells: dict[str, _Stored] = {}
        self._images: dict[tuple[str, str], set[str]] = {}  # dataset and id to digests
        shared: dict[_Stored, _Stored] = {}  # most cells lack the same
        for r in store.stream(store.damaged):
            done = {s.key for s in r.scores if s.status != "failed"}
            keys = zip(plan.metrics, score_keys(r.map_key, plan.metrics), strict=True)
            lacking = tuple(identity for identity, key in keys if key not in done)
            stored = _Stored(r.status, r.reason, lacking)
            self._cells[r.map_key] = shared.setdefault(stored, stored)
            self._images.setdefault((r.dataset, r.case), set()).add(r.case_digest)

    def require_same_image(self, dataset: str, case: Case) -> None:
        """Refuses an image of which the folder holds another one under the same name: one table would have both.

        Args:
            dataset: that it is of.
            case: the image.

        Raises:
            UserError: then.
        """
        known = self._images.get((dataset, case.id))
        if known and case.digest not in known:
            raise UserError(
                f"{self._store.root} holds scores of another image {case.id} of {dataset}: its pixels, labels, field "
                "of view or second observer were others.",
                "Give another --out.",
            )

    def missing(self, cell: Cell) -> dict[str, Spec[MetricTraits]] | None:
        """The scores of a cell that are still to compute, by key; None if the map is, too.

        A failed map or score is computed again, a skipped one is not.
        """
        stored = self._cells.get(cell.key)
        if stored is None or stored.status == "failed":
            return None
        # A map that was changed after its record counts as missing, and so does its record.
        if self._store.map_is_newer(cell.key) and self._store.read(cell.key) is None:
            return None
        return {} if stored.status == "skipped" else self._plan.scores(cell.key, stored.lacking)

    def reason(self, cell: Cell) -> str:
        """Why the map of a stored cell was skipped, or ""."""
        return self._cells[cell.key].reason


def chosen_methods(asked: Sequence[Method], suite: Suite) -> list[Spec]:
    """The methods that were asked for, or the suite's, and after them every control; none twice.

    Raises:
        UserError: for an unknown name, or a plugin that was asked for and does not import.
    """
    plugins, _broken = registry.available("explainer")
    names: list[Method] = list(asked) or list(suite.methods) or [p for p in plugins if not p.traits.control]
    return _distinct(
        [*(registry.parse("explainer", name) for name in names), *(Spec(p) for p in plugins if p.traits.control)]
    )


def chosen_metrics(asked: Sequence[str], suite: Suite) -> tuple[Spec, ...]:
    """The metrics that were asked for, or the suite's, curves with its fills.

    Raises:
        UserError: for an unknown name.
    """
    if asked:
        return tuple(_distinct(registry.parse("metric", name) for name in asked))
    plugins = [p for p in registry.available("metric")[0] if in_suite(p, suite.name)]
    more = [f"{curve}[fill={fill},steps={FEW_STEPS}]" for curve in CURVES for fill in suite.fills]
    more += MORE if suite.fills else ()
    more += [f"{p.name}[segmenter={s}]" for p in plugins if "segmenter" in p.parameters for s in SEGMENTERS]
    steps = {p.name: suite.steps(p) if "steps" in p.parameters else None for p in plugins}
    own = [f"{p.name}[steps={steps[p.name]}]" if steps[p.name] else p.name for p in plugins]
    return tuple(_distinct(registry.parse("metric", name) for name in (*own, *more)))


def in_suite(metric: Plugin[MetricTraits], suite: str) -> bool:
    """Whether a metric belongs to a suite: as it declares, or else by its family."""
    if metric.traits.suites is not None:
        return suite in metric.traits.suites
    if metric.family == "truth" or suite == "truth":
        return metric.family == suite
    return suite != "quick" or metric.traits.measures != "method"


def run_name(data: str, model: str, target: str) -> str:
    """A folder name for what is run, the same for the same command, so that it resumes.

    Example:
        >>> run_name("phantom[size=256]", "unet-phantom", "vessels")
        'phantom-size-256-unet-phantom-vessels'
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", f"{data}-{model}-{target}").strip("-.") or "run"


def _distinct(specs: Iterable[Spec]) -> list[Spec]:
    seen: dict[str, Spec] = {}
    for spec in specs:
        known = seen.setdefault(str(spec), spec)
        if known.plugin != spec.plugin:
            raise UserError(f"Two methods are called {spec}.", "Give one of the functions another name.")
    return list(seen.values())
