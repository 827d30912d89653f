"""What a run is to compute: a grid of methods and cases, and which of its cells are there already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from xaibench import registry
from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.record.schema import Record, map_key, score_key
from xaibench.registry import Plugin, Spec

CURVES = ("srg", "deletion", "insertion")
FILLS = ("blur", "mean")  # beside the primary one, which is the metrics' default
LAYERS = ("bottleneck", "decoder-1/4", "decoder-1/2", "last")


@dataclass(frozen=True)
class Suite:
    """A named choice: methods, fills beside the primary one, and how many cases (None: all)."""

    methods: tuple[str, ...]
    fills: tuple[str, ...]
    cases: int | None


SUITES = {
    "quick": Suite(("gradcam",), (), 5),
    "standard": Suite(tuple(f"gradcam[layer={layer}]" for layer in LAYERS), FILLS, None),
    "full": Suite((), FILLS, None),  # no names: every registered explainer
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


@dataclass(frozen=True)
class Cell:
    """One (explainer, case) of a run.

    Attributes:
        spec: the method.
        key: the map's key, under which the record is kept.
        scores: score key to metric.
    """

    spec: Spec
    key: str
    scores: dict[str, Spec]


def chosen_methods(asked: Sequence[str | Plugin | Callable[..., Any]], suite: Suite) -> list[Spec]:
    """The methods that were asked for, or the suite's, and after them every control; none twice.

    Raises:
        UserError: for an unknown name, or a plugin that was asked for and does not import.
    """
    plugins, _broken = registry.available("explainer")
    names: list[Any] = list(asked) or list(suite.methods) or [p for p in plugins if not p.traits["control"]]
    return _distinct([*map(_explainer, names), *(Spec(p) for p in plugins if p.traits["control"])])


def chosen_metrics(asked: Sequence[str], suite: Suite) -> tuple[Spec, ...]:
    """The metrics that were asked for, or all registered ones, curves with the suite's fills.

    Raises:
        UserError: for an unknown name.
    """
    if asked:
        return tuple(_distinct(registry.parse("metric", name) for name in asked))
    plugins, _broken = registry.available("metric")
    more = [registry.parse("metric", f"{curve}[fill={fill}]") for curve in CURVES for fill in suite.fills]
    return tuple(_distinct([*map(Spec, plugins), *more]))


def plan_case(case: Case, methods: Iterable[Spec], setting: Setting) -> list[Cell]:
    """The cells of one case."""
    cells = []
    for spec in methods:
        distribution, version = spec.plugin.distribution
        key = map_key(
            method=spec.plugin.name,
            parameters=spec.parameters,
            distribution=distribution,
            version=version,
            case_digest=case.digest,
            weights_digest=setting.weights_digest,
            target=setting.target,
            seed=setting.seed,
        )
        scores = {
            score_key(key, metric=m.plugin.name, parameters=m.parameters, version=m.plugin.distribution[1]): m
            for m in setting.metrics
        }
        cells.append(Cell(spec, key, scores))
    return cells


def missing_scores(cell: Cell, record: Record | None, force: bool) -> dict[str, Spec] | None:
    """The scores of a cell that are still to compute; None if the map is, too.

    A failed map or score is computed again, a skipped one is not.
    """
    if force or record is None or record.status == "failed":
        return None
    if record.status == "skipped":
        return {}
    done = {s.key for s in record.scores if s.status != "failed"}
    return {key: metric for key, metric in cell.scores.items() if key not in done}


def run_name(data: str, model: str, target: str) -> str:
    """A folder name for what is run, the same for the same command, so that it resumes.

    Example:
        >>> run_name("phantom[size=256]", "unet-phantom", "vessels")
        'phantom-size-256-unet-phantom-vessels'
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", f"{data}-{model}-{target}").strip("-.") or "run"


def _explainer(name: str | Plugin | Callable[..., Any]) -> Spec:
    return registry.parse("explainer", name)


def _distinct(specs: Iterable[Spec]) -> list[Spec]:
    seen: dict[str, Spec] = {}
    for spec in specs:
        known = seen.setdefault(str(spec), spec)
        if known.plugin != spec.plugin:
            raise UserError(f"Two methods are called {spec}.", "Give one of the functions another name.")
    return list(seen.values())
