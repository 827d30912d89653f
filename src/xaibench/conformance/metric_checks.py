"""The checks that every metric is held against: the answers it must give, whatever it measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from xaibench.conformance.explainer_trial import CheckFailed, NoMap
from xaibench.conformance.metric_subjects import asked, emptied, eye, maps, mirrored, zeros
from xaibench.conformance.metric_trial import MetricTrial
from xaibench.errors import Skipped
from xaibench.metrics.cost import Cost
from xaibench.running.sandbox.snapshot import Settings, State

GRAINS = 1e-4  # relative, by which rounding and nothing else may change a value
PART = {"vessels": "the true vessels", "thin": "the true thin vessels", "thick": "the true thick vessels"}


def declared(trial: MetricTrial) -> str:
    """It says what it measures in a sentence, and has a range and a direction."""
    low, high = trial.traits.range
    if not low < high:
        raise CheckFailed(f"its range from {low:g} to {high:g} is empty")
    if not trial.spec.plugin.summary.endswith("."):
        raise CheckFailed("the first line of its docstring is no sentence that ends with a full stop")
    if trial.traits.gate is not None and trial.traits.better not in ("higher", "lower"):
        raise CheckFailed("a gate needs a better side: higher or lower")
    return f"from {low:g} to {high:g}, better: {trial.traits.better}"


def legal_values(trial: MetricTrial) -> str:
    """Any map, signed or sparse, tiny or constant, has a finite value in the declared range, or none with a reason."""
    if trial.traits.measures == "cost":
        trial.legal(trial.spec(cost=Cost(1.5, 3, 20.0)))
        return "of a cost"
    if trial.traits.measures == "method":
        trial.score(maps()["noise"])
        return "of an exact method"
    skipped = 0
    for name, map_ in maps().items():
        try:
            trial.score(map_, **trial.quick)
        except Skipped:
            skipped += 1
        except NoMap as error:
            raise NoMap(f"{name}: {error}") from error
    return f"{len(maps()) - skipped} of {len(maps())} maps"


def same_value(trial: MetricTrial) -> str:
    """The same map and generator give the same value, whatever was computed before."""
    _not_of_cost(trial)
    map_ = maps()["a fairly good signed map"]
    values = [trial.score(map_, scorer=scorer) for scorer in (None, None, asked(eye()))]
    if len(set(values)) > 1:
        raise CheckFailed(f"the same map has the values {', '.join(f'{v!r}' for v in dict.fromkeys(values))}")
    return "bit for bit"


def state(trial: MetricTrial) -> str:
    """Map, case, target and network are as they were."""
    _not_of_cost(trial)
    case, scorer = eye(), asked(eye())
    before, settings = State(scorer, case), Settings()
    trial.score(maps()["a fairly good signed map"], scorer=scorer)
    found = [*before.changed(), *settings.changed()]
    settings.restore()
    before.restore()
    if found:
        raise CheckFailed(f"it changes {', '.join(found)}")
    return "untouched"


def micro_batch(trial: MetricTrial) -> str:
    """The value does not depend on how many pictures go through the network at a time."""
    _not_of_cost(trial)
    map_ = maps()["a fairly good signed map"]
    values = [trial.score(map_, scorer=asked(eye(), micro_batch=size)) for size in (1, 3)]
    if not math.isclose(*values, rel_tol=GRAINS, abs_tol=GRAINS):
        raise CheckFailed(f"micro-batches of 1 and of 3 pictures give {values[0]:g} and {values[1]:g}")
    return "of 1, 3"


def oracle(trial: MetricTrial) -> str:
    """The mask that the map is compared with, used as the map, has the best value; its inverse is the worst."""
    trial.on_maps()
    part = trial.traits.mask
    if not part:
        raise Skipped("it compares the map with no mask of labels")
    mask = getattr(eye(), part).numpy().astype(np.float32)
    best, worst, noise = (_goodness(trial, trial.score(m)) for m in (mask, 1 - mask, maps()["noise"]))
    nothing = _goodness(trial, trial.score(maps()["a constant map"]))
    others = [_goodness(trial, trial.score(m)) for name, m in maps().items() if "constant" not in name]
    if not best >= max(others) or not best > noise:
        raise CheckFailed(f"{PART[part]} score {best:g}, where another map scores {max(others):g} and noise {noise:g}")
    if not worst <= min(best, nothing):
        raise CheckFailed(f"all but {PART[part]} score {worst:g}, where a constant map scores {nothing:g}")
    ideal = trial.traits.range[trial.traits.better == "higher"]
    if math.isfinite(ideal) and not math.isclose(abs(best), abs(ideal), abs_tol=GRAINS):
        raise CheckFailed(f"{PART[part]} score {best:g}, where {ideal:g} is the best there is")
    return f"{best:g}, its inverse {worst:g}"


def chance(trial: MetricTrial) -> str:
    """Maps that are constant or all zero, or the methods that give these, score exactly as chance."""
    _not_of_cost(trial)
    by_method = trial.traits.measures == "method"
    constant = ("a constant map", "an all-zero map", "a negative constant map")
    if by_method:
        values = [trial.score(maps()["noise"], by=by) for by in ("uniform", zeros)]
    else:
        values = [trial.score(maps()[name], **trial.quick) for name in constant]
    wanted = trial.traits.chance
    if wanted is not None and not all(math.isclose(v, wanted, abs_tol=1e-9) for v in values):
        raise CheckFailed(f"maps that say nothing score {', '.join(f'{v:g}' for v in values)}, not {wanted:g}")
    if trial.traits.mask:
        _chance_of_masks(trial, values)
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{v:g}" for v in values)


def _chance_of_masks(trial: MetricTrial, values: list[float]) -> None:
    """What a constant map scores is what noise scores on average."""
    if max(values) - min(values) > 1e-9:
        raise CheckFailed(f"maps that say nothing score {', '.join(f'{v:g}' for v in values)}")
    rng = np.random.default_rng(1)
    noise = [trial.score(rng.random(eye().fov.shape, dtype=np.float32)) for _ in range(60)]
    error = 5 * float(np.std(noise)) / math.sqrt(len(noise))
    if abs(float(np.mean(noise)) - values[0]) > error + 1e-9:
        raise CheckFailed(f"a constant map scores {values[0]:g}, and noise {np.mean(noise):.4g} ± {error:.2g}")


def scale(trial: MetricTrial) -> str:
    """Three times the map scores the same, if only the ratios or the order of its values count."""
    trial.on_maps()
    if not trial.traits.invariant:
        raise Skipped("it declares that the map's scale counts")
    for name in ("a fairly good signed map", "a map that is zero in most places"):
        with suppress(Skipped):  # one of them may have no value
            _same(trial, maps()[name], 3 * maps()[name], "three times the map")
    return "three times the map"


def rank(trial: MetricTrial) -> str:
    """Any monotone transform of the map scores the same, if only the order of its values counts."""
    trial.on_maps()
    if trial.traits.invariant != "rank":
        raise Skipped("it declares that more than the order counts")
    levels = maps()["a map with many ties"]
    for name, transform in (("exp", np.exp), ("arctan", np.arctan), ("cube", lambda a: a**3 - 7)):
        changed_map = transform(levels.astype(np.float64)).astype(np.float32)
        if len(np.unique(changed_map)) == len(np.unique(levels)):  # in single precision it is one to one here
            _same(trial, levels, changed_map, f"its {name}")
    return "exp, arctan, cube"


def mirror(trial: MetricTrial) -> str:
    """Map and case mirrored together score the same."""
    trial.on_maps()
    map_, case = maps()["a fairly good signed map"], mirrored(eye())
    values = [
        trial.score(map_, **trial.quick),
        trial.score(np.ascontiguousarray(map_[:, ::-1]), case=case, **trial.quick),
    ]
    if not math.isclose(*values, rel_tol=1e-3, abs_tol=2e-5):
        raise CheckFailed(f"the map scores {values[0]:g}, and mirrored with its case {values[1]:g}")
    return f"{values[0]:.4g}"


def empty_mask(trial: MetricTrial) -> str:
    """Without a pixel of the mask there is no value, and the reason is said; it is never a hit."""
    part = trial.traits.mask
    if not part:
        raise Skipped("it compares the map with no mask of labels")
    case = emptied(eye(), part)
    for name, map_ in maps().items():
        try:
            value = trial.score(map_, case=case, scorer=asked(eye()))
        except Skipped as reason:
            if not str(reason):
                raise CheckFailed("it skips a case without such a pixel and does not say why") from reason
            continue
        raise CheckFailed(f"without any such pixel {name} scores {value:g}: raise Skipped")
    return "skipped"


def more_steps(trial: MetricTrial) -> str:
    """A curve's area does not depend on the number of its steps, up to discretisation."""
    trial.on_maps()
    if "steps" not in trial.spec.parameters:
        raise Skipped("it has no parameter steps")
    map_, own = maps()["a fairly good signed map"], trial.spec.parameters["steps"]
    values = [trial.score(map_, **trial.quick, steps=steps) for steps in (own, 2 * own)]
    if abs(values[0] - values[1]) > 0.05:
        raise CheckFailed(f"{own} steps give {values[0]:.3g}, twice as many {values[1]:.3g}")
    return f"{values[0]:.3g} and {values[1]:.3g}"


def some_value(trial: MetricTrial) -> str:
    """The metric gave a value in some check: it did not say of all maps that there is none."""
    if not trial.values:
        raise NoMap("it gave no value in any check")
    return f"{trial.values} values"


def _same(trial: MetricTrial, one: np.ndarray, other: np.ndarray, what: str) -> None:
    values = [trial.score(m, **trial.quick) for m in (one, other)]
    if not math.isclose(*values, rel_tol=GRAINS, abs_tol=1e-9):
        raise CheckFailed(f"the map scores {values[0]:g}, and {what} {values[1]:g}")


def _goodness(trial: MetricTrial, value: float) -> float:
    return {"higher": value, "lower": -value, "zero": -abs(value), "none": value}[trial.traits.better]


def _not_of_cost(trial: MetricTrial) -> None:
    if trial.traits.measures == "cost":
        raise Skipped("it is read off the computation, not off a map")


METRIC_CHECKS: dict[str, Callable[[MetricTrial], str]] = {
    "declared": declared,
    "legal-values": legal_values,
    "same-value": same_value,
    "state": state,
    "micro-batch": micro_batch,
    "oracle": oracle,
    "chance": chance,
    "scale": scale,
    "rank": rank,
    "mirrored": mirror,
    "empty-mask": empty_mask,
    "steps": more_steps,
    "some-value": some_value,
}
