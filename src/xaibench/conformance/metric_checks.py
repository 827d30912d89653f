"""The checks of metrics: each takes a trial and returns its finding in words, or raises."""

import math
from contextlib import suppress

import numpy as np

from xaibench.conformance.metric_subjects import GOOD, emptied, eye, maps, mirrored, scorer_for, zeros
from xaibench.conformance.metric_trial import MetricTrial
from xaibench.conformance.trial import CheckFailed, attempt_each, checks_in, require, skip_if, some
from xaibench.errors import Skipped
from xaibench.metrics.cost import Cost
from xaibench.running.sandbox.snapshot import Settings, State

GRAINS = 1e-4  # largest difference of two values that only rounding may cause, relative


def check_declared(trial: MetricTrial) -> str:
    """It says what it measures in a sentence, and has a range and a direction."""
    (low, high), better = trial.traits.range, trial.traits.better
    require(low < high, f"its range from {low:g} to {high:g} is empty")
    is_sentence = trial.spec.plugin.summary.endswith(".")
    require(is_sentence, "the first line of its docstring is no sentence that ends with a full stop")
    has_side = trial.traits.gate is None or better in ("higher", "lower")
    require(has_side, "a gate needs a better side: higher or lower")
    return f"from {low:g} to {high:g}, better: {better}"


def check_legal_values(trial: MetricTrial) -> str:
    """Any map, signed or sparse, tiny or constant, has a finite value in the declared range, or none with a reason."""
    if trial.traits.measures == "cost":
        trial.legal(trial.spec(cost=Cost(1.5, 3, 20.0)))
        return "of a cost"
    if trial.traits.measures == "method":
        trial.score("noise")
        return "of an exact method"
    skipped = attempt_each(maps(), lambda name: trial.score(name, **trial.quick))
    return f"{len(maps()) - len(skipped)} of {len(maps())} maps"


def check_same_value(trial: MetricTrial) -> str:
    """The same map and generator give the same value, whatever was computed before."""
    trial.skip_cost()
    values = dict.fromkeys(trial.score(scorer=scorer) for scorer in (None, None, scorer_for(eye())))
    require(len(values) == 1, f"the same map has the values {', '.join(map(repr, values))}")
    return "bit for bit"


def check_state(trial: MetricTrial) -> str:
    """The metric leaves map, case, target and network unchanged."""
    trial.skip_cost()
    case, scorer = eye(), scorer_for(eye())
    before, settings = State(scorer, case), Settings()
    trial.score(scorer=scorer)
    changed = [*before.changed(), *settings.changed()]
    settings.restore()
    before.restore()
    require(not changed, f"it changes {', '.join(changed)}")
    return "untouched"


def check_micro_batch(trial: MetricTrial) -> str:
    """The value does not depend on how many images go through the network at a time."""
    trial.skip_cost()
    one, other = (trial.score(scorer=scorer_for(eye(), micro_batch=size)) for size in (1, 3))
    is_close = math.isclose(one, other, rel_tol=GRAINS, abs_tol=GRAINS)
    require(is_close, f"micro-batches of 1 and of 3 images give {one:g} and {other:g}")
    return "of 1, 3"


def check_oracle(trial: MetricTrial) -> str:
    """The mask that the map is compared with, used as the map, has the best value; its inverse is the worst."""
    trial.skip_without_map()
    part = trial.mask_part()
    mask = getattr(eye(), part).numpy().astype(np.float32)
    best, worst, noise, constant = (
        _goodness(trial, trial.score(m)) for m in (mask, 1 - mask, "noise", "a constant map")
    )
    highest = max(_goodness(trial, trial.score(name)) for name in maps() if "constant" not in name)
    true = "the true vessels" if part == "vessels" else f"the true {part} vessels"
    is_best = best >= highest and best > noise
    require(is_best, f"{true} score {best:g}, where another map scores {highest:g} and noise {noise:g}")
    is_worst = worst <= min(best, constant)
    require(is_worst, f"all but {true} score {worst:g}, where a constant map scores {constant:g}")
    ideal = trial.traits.range[trial.traits.better == "higher"]
    is_ideal = math.isinf(ideal) or math.isclose(abs(best), abs(ideal), abs_tol=GRAINS)
    require(is_ideal, f"{true} score {best:g}, where {ideal:g} is the best there is")
    return f"{best:g}, its inverse {worst:g}"


def check_chance(trial: MetricTrial) -> str:
    """Maps that are constant or all zero, or the methods that give these, score exactly as chance.

    For a metric that compares the map with a mask, noise scores the same on average.
    """
    trial.skip_cost()
    if trial.traits.measures == "method":
        values = [trial.score("noise", by=by) for by in ("uniform", zeros)]
    else:
        constant = ("a constant map", "an all-zero map", "a negative constant map")
        values = [trial.score(name, **trial.quick) for name in constant]
    scores = ", ".join(f"{v:g}" for v in values)
    wanted = trial.traits.chance
    if wanted is not None:
        are_chance = all(math.isclose(v, wanted, abs_tol=1e-9) for v in values)
        require(are_chance, f"maps that say nothing score {scores}, not {wanted:g}")
    if trial.traits.mask:
        require(max(values) - min(values) <= 1e-9, f"maps that say nothing score {scores}")
        rng = np.random.default_rng(1)
        noise = [trial.score(rng.random(eye().fov.shape, dtype=np.float32)) for _ in range(60)]
        mean, error = float(np.mean(noise)), 5 * float(np.std(noise)) / math.sqrt(len(noise))
        is_alike = abs(mean - values[0]) <= error + 1e-9
        require(is_alike, f"a constant map scores {values[0]:g}, and noise {mean:.4g} ± {error:.2g}")
    return f"{values[0]:g}" if len(set(values)) == 1 else scores


def check_scale(trial: MetricTrial) -> str:
    """Three times the map scores the same, if only the ratios or the order of its values count."""
    trial.skip_without_map()
    skip_if(not trial.traits.invariant, "it declares that the map's scale counts")
    for name in (GOOD, "a map that is zero in most places"):
        with suppress(Skipped):  # one of them may have no value
            _same(trial, maps()[name], 3 * maps()[name], "three times the map")
    return "three times the map"


def check_rank(trial: MetricTrial) -> str:
    """Any monotone transform of the map scores the same, if only the order of its values counts."""
    trial.skip_without_map()
    skip_if(trial.traits.invariant != "rank", "it declares that more than the order counts")
    levels = maps()["a map with many ties"]
    for name, transform in (("exp", np.exp), ("arctan", np.arctan), ("cube", lambda a: a**3 - 7)):
        changed_map = transform(levels.astype(np.float64)).astype(np.float32)
        if len(np.unique(changed_map)) == len(np.unique(levels)):  # in single precision it is one to one here
            _same(trial, levels, changed_map, f"its {name}")
    return "exp, arctan, cube"


def check_mirrored(trial: MetricTrial) -> str:
    """Map and case mirrored together score the same."""
    trial.skip_without_map()
    flipped = np.ascontiguousarray(maps()[GOOD][:, ::-1])
    one, other = trial.score(**trial.quick), trial.score(flipped, case=mirrored(eye()), **trial.quick)
    is_close = math.isclose(one, other, rel_tol=1e-3, abs_tol=2e-5)
    require(is_close, f"the map scores {one:g}, and mirrored with its case {other:g}")
    return f"{one:.4g}"


def check_empty_mask(trial: MetricTrial) -> str:
    """Without a pixel of the mask there is no value, for a reason in words; it is never a hit."""
    case = emptied(eye(), trial.mask_part())
    for name in maps():
        try:
            value = trial.score(name, case=case, scorer=scorer_for(eye()))
        except Skipped as reason:
            require(str(reason), "it skips a case without such a pixel and does not say why")
        else:
            raise CheckFailed(f"without any such pixel {name} scores {value:g}: raise Skipped")
    return "skipped"


def check_steps(trial: MetricTrial) -> str:
    """A curve's area does not depend on the number of its steps, up to discretisation."""
    trial.skip_without_map()
    skip_if("steps" not in trial.spec.parameters, "it has no parameter steps")
    own = trial.spec.parameters["steps"]
    one, other = (trial.score(**trial.quick, steps=steps) for steps in (own, 2 * own))
    require(abs(one - other) <= 0.05, f"{own} steps give {one:.3g}, twice as many {other:.3g}")
    return f"{one:.3g} and {other:.3g}"


def _same(trial: MetricTrial, map_: np.ndarray, changed_map: np.ndarray, what: str) -> None:
    one, other = (trial.score(m, **trial.quick) for m in (map_, changed_map))
    is_close = math.isclose(one, other, rel_tol=GRAINS, abs_tol=1e-9)
    require(is_close, f"the map scores {one:g}, and {what} {other:g}")


def _goodness(trial: MetricTrial, value: float) -> float:
    return {"higher": value, "lower": -value, "zero": -abs(value), "none": value}[trial.traits.better]


METRIC_CHECKS = checks_in(globals()) | {"some-value": some}
