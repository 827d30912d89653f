"""What metrics of localisation and the removal curves give exactly, on an eye whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from made_up import GreenFilter, draw_eye, target_on
from scipy.ndimage import distance_transform_edt

from xaibench import registry
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.registry import Plugin
from xaibench.scorer import Scorer

METRICS, BROKEN = registry.available("metric")
EXACT = ("deletion", "insertion", "srg", "thin-gap")
MAPS = [m for m in METRICS if m.traits.mask or m.name in EXACT]
every = pytest.mark.parametrize("metric", MAPS, ids=lambda m: m.name)

# What only depends on the order of the pixels; of the others only the positive part counts.
RANKS = ("auroc-", "rank-", "pointing-", "deletion", "insertion", "srg", "ap-")
ORDERED = [m for m in MAPS if m.name.startswith(RANKS)]
EYE = draw_eye()
FOV, VESSELS = EYE.fov.numpy(), EYE.vessels.numpy()
SHARE = {part: getattr(EYE, part).numpy().sum() / FOV.sum() for part in ("vessels", "thin", "thick")}


def part_of(metric: Plugin) -> str:
    return metric.name.rpartition("-")[2]


@cache
def scorer_of(case_id: str) -> Scorer:
    case = {"eye": EYE, "mirrored": MIRRORED}[case_id]
    return Scorer(GreenFilter(0.4, 8.0), target_on(case))


def score(metric: Plugin, map_: np.ndarray, case: Case = EYE, **parameters: object) -> float:
    value = metric(map_, case, scorer_of(case.id), rng=np.random.default_rng(5), **parameters).value
    assert math.isfinite(value)
    low, high = metric.traits.range
    assert low <= value <= high
    return float(value)


def goodness(metric: Plugin, value: float) -> float:
    return {"higher": value, "lower": -value, "zero": -abs(value)}[metric.traits.better]


def mirror(t: torch.Tensor) -> torch.Tensor:
    return t.flip(-1).contiguous()


MIRRORED = replace(EYE, id="mirrored", **{n: mirror(getattr(EYE, n)) for n in ("image", "vessels", "fov", "caliber")})
RNG = np.random.default_rng(0)
ORACLE = VESSELS.astype(np.float32)
INVERTED = 1 - ORACLE
NOISE = RNG.permutation(VESSELS.size).reshape(VESSELS.shape).astype(np.float32)  # no two values are equal
MIXED = (NOISE / NOISE.size + 0.4 * ORACLE - 0.3).astype(np.float32)  # signed, and fairly good
GRADED = (np.round(MIXED * 64) / 64 * (MIXED > 0)).astype(np.float32)  # with many zeros, and other ties


def test_all_registered_metrics_load() -> None:
    assert BROKEN == {} and len(MAPS) >= 18 and len(METRICS) > len(MAPS)


@every
def test_it_declares_what_it_is(metric: Plugin) -> None:
    low, high = metric.traits.range
    assert metric.traits.better in ("higher", "lower", "zero") and low < high
    assert metric.summary.endswith(".") and metric.family in ("overlap", "faithfulness")


@every
def test_the_oracle_is_ideal_and_its_inverse_the_worst(metric: Plugin) -> None:
    if metric.name == "thin-gap":
        assert score(metric, ORACLE) == pytest.approx(0)
        return
    oracle, inverted, noise = (goodness(metric, score(metric, m)) for m in (ORACLE, INVERTED, NOISE))
    if metric.name.startswith("pointing"):  # among the highest pixels of the inverse are some next to a vessel
        assert 1 >= oracle > goodness(metric, chance(metric)) > inverted
        return
    assert oracle > noise and oracle > inverted
    if not metric.name.startswith("ap-"):  # a tie of all true pixels is a little better than their chance places
        assert noise > inverted
    exact: dict[str, Callable[[], tuple[float, float]]] = {
        "auroc": lambda: (1, 0),
        "mass": lambda: (SHARE[part_of(metric)] / SHARE["vessels"], 0),
        "lift": lambda: (1 / SHARE["vessels"], 0),
        # Of as many highest pixels as there are thin ones, in expectation the share that is thin among vessels.
        "rank": lambda: (SHARE[part_of(metric)] / SHARE["vessels"], 0),
    }
    stem = metric.name.rpartition("-")[0]
    if stem in exact:
        assert (score(metric, ORACLE), score(metric, INVERTED)) == pytest.approx(exact[stem]())


@pytest.mark.parametrize("metric", [m for m in MAPS if part_of(m) in SHARE], ids=lambda m: m.name)
def test_the_oracle_of_its_own_part_has_the_best_value_there_is(metric: Plugin) -> None:
    stem, _, part = metric.name.rpartition("-")
    value = score(metric, getattr(EYE, part).numpy().astype(np.float32))
    assert value == pytest.approx(1 / SHARE[part] if stem == "lift" else metric.traits.range[1])


def chance(metric: Plugin) -> float:
    """What a map that says nothing scores."""
    stem, _, part = metric.name.rpartition("-")
    if stem in ("mass", "rank"):
        return float(SHARE[part])
    if stem == "ap":  # the share of positives among what is compared
        return float(SHARE[part] / (SHARE[part] + 1 - SHARE["vessels"]))
    if stem == "pointing":
        return float((distance_transform_edt(~getattr(EYE, part).numpy()) <= 2)[FOV].mean())
    return {"auroc": 0.5, "lift": 1.0}[stem] if stem in ("auroc", "lift") else 0.0


@every
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -2.5], ids=["all zero", "one", "a tenth", "negative"])
def test_a_constant_map_is_exactly_chance(metric: Plugin, value: float) -> None:
    got = score(metric, np.full(VESSELS.shape, value, np.float32))
    if metric.name in ("deletion", "insertion"):  # chance is that both orders are the same
        other = next(m for m in MAPS if m.name in ("deletion", "insertion") and m is not metric)
        assert got == pytest.approx(score(other, np.zeros(VESSELS.shape)), abs=1e-12)
    else:
        assert got == pytest.approx(chance(metric), abs=1e-12)


@pytest.mark.parametrize(
    "metric", [m for m in MAPS if m.family == "overlap" and not m.name.startswith("ap-")], ids=lambda m: m.name
)
def test_chance_is_what_noise_scores_on_average(metric: Plugin) -> None:
    """But average precision, which of few pixels is a little higher in expectation than their share."""
    rng = np.random.default_rng(1)
    values = [score(metric, rng.random(VESSELS.shape).astype(np.float32)) for _ in range(200)]
    assert np.mean(values) == pytest.approx(chance(metric), abs=5 * np.std(values) / math.sqrt(200))


@every
@pytest.mark.parametrize("map_", [ORACLE, GRADED], ids=["oracle", "graded"])
def test_three_times_the_map_scores_the_same(metric: Plugin, map_: np.ndarray) -> None:
    assert score(metric, 3 * map_) == pytest.approx(score(metric, map_), abs=1e-12)


@every
def test_a_map_as_small_as_gradients_are_scores_the_same(metric: Plugin) -> None:
    assert score(metric, MIXED * np.float32(2.0**-40)) == pytest.approx(score(metric, MIXED), abs=1e-12)


@pytest.mark.parametrize("metric", ORDERED, ids=lambda m: m.name)
@pytest.mark.parametrize("transform", [np.exp, np.arctan, lambda a: a**3 - 7], ids=["exp", "arctan", "cube"])
def test_of_rank_metrics_any_monotone_transform_scores_the_same(
    metric: Plugin, transform: Callable[[np.ndarray], np.ndarray]
) -> None:
    levels = np.round(MIXED * 20) / 10  # many ties, and values far enough apart for single precision
    changed = transform(levels.astype(np.float64)).astype(np.float32)
    assert np.unique(changed).size == np.unique(levels).size > 10
    assert score(metric, changed) == score(metric, levels.astype(np.float32))


@every
def test_map_and_mask_mirrored_together_score_the_same(metric: Plugin) -> None:
    parameters = {"fill": "blur"} if "fill" in metric.parameters else {}  # noise would have to be mirrored, too
    expected = score(metric, MIXED, **parameters)
    got = score(metric, np.ascontiguousarray(MIXED[:, ::-1]), MIRRORED, **parameters)
    assert got == pytest.approx(expected, abs=1e-5)


@every
def test_an_empty_mask_is_skipped_with_its_reason_and_never_a_hit(metric: Plugin) -> None:
    if metric.family == "faithfulness":
        with pytest.raises(Skipped, match="'mine' is empty"):
            target_on(EYE, torch.zeros_like(EYE.fov))
        return
    nothing = torch.zeros_like(EYE.vessels)
    empty = replace(EYE, vessels=nothing, caliber=nothing.float())
    for map_ in (ORACLE, np.zeros_like(ORACLE), MIXED):
        with pytest.raises(Skipped, match=r"case eye has no (thin |thick )?vessel pixels"):
            score(metric, map_, empty)


@pytest.mark.parametrize("part", ["thin", "thick"])
def test_a_case_without_the_part_is_skipped(part: str) -> None:
    caliber = torch.where(EYE.vessels, 9.0 if part == "thin" else 0.5, 0.0)
    without = replace(EYE, caliber=caliber)
    for metric in (m for m in MAPS if m.name.endswith(part) and m.family == "overlap"):
        with pytest.raises(Skipped, match=f"no {part} vessel pixels"):
            score(metric, ORACLE, without)


@every
def test_the_same_generator_gives_the_same_value(metric: Plugin) -> None:
    values = {score(metric, MIXED), score(metric, MIXED.copy())}
    scorer = Scorer(GreenFilter(0.4, 8.0), target_on(EYE))  # nothing shared with what was computed before
    values.add(metric(MIXED, EYE, scorer, rng=np.random.default_rng(5)).value)
    assert len(values) == 1


@every
def test_it_leaves_map_and_case_as_they_were(metric: Plugin) -> None:
    map_ = MIXED.copy()
    before = map_.tobytes(), EYE.image.numpy().tobytes(), EYE.vessels.numpy().tobytes(), EYE.fov.numpy().tobytes()
    score(metric, map_)
    assert before == (
        *(map_.tobytes(), EYE.image.numpy().tobytes(), EYE.vessels.numpy().tobytes(), EYE.fov.numpy().tobytes()),
    )


@every
@pytest.mark.parametrize("seed", range(5))
def test_signed_maps_of_any_kind_stay_in_the_declared_range(metric: Plugin, seed: int) -> None:
    rng = np.random.default_rng(seed)
    map_ = rng.standard_cauchy(VESSELS.shape).astype(np.float32)
    map_[rng.random(VESSELS.shape) < 0.8] = 0
    score(metric, map_)  # which looks at the range itself
