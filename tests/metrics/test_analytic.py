"""What metrics of localisation and the removal curves give exactly, on an eye whose answers are known.

That values are in range, repeatable and invariant as declared, and that nothing is changed, is checked for every metric
by :mod:`xaibench.conformance`, see ``test_metrics_conform.py``.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import draw_eye, green_scorer, rng
from scipy.ndimage import distance_transform_edt

from xaibench import registry
from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.registry import Plugin

METRICS, BROKEN = registry.available("metric")
EXACT = ("deletion", "insertion", "srg", "thin-gap")
MAPS = [m for m in METRICS if m.traits.mask or m.name in EXACT]
every = pytest.mark.parametrize("metric", MAPS, ids=lambda m: m.name)
EYE = draw_eye()
SCORER = green_scorer(EYE)
FOV, VESSELS = EYE.fov.numpy(), EYE.vessels.numpy()
SHARE = {part: getattr(EYE, part).numpy().sum() / FOV.sum() for part in ("vessels", "thin", "thick")}


def score(metric: Plugin, map_: np.ndarray, case: Case = EYE, **parameters: object) -> float:
    value = metric(map_, case, SCORER, rng=rng(), **parameters).value
    assert math.isfinite(value)
    low, high = metric.traits.range
    assert low <= value <= high
    return float(value)


def goodness(metric: Plugin, value: float) -> float:
    return {"higher": value, "lower": -value, "zero": -abs(value)}[metric.traits.better]


ORACLE = VESSELS.astype(np.float32)
INVERTED = 1 - ORACLE
NOISE = rng().permutation(VESSELS.size).reshape(VESSELS.shape).astype(np.float32)  # no two values are equal
MIXED = (NOISE / NOISE.size + 0.4 * ORACLE - 0.3).astype(np.float32)  # signed, and fairly good


def test_all_registered_metrics_load() -> None:
    assert BROKEN == {} and len(MAPS) >= 18 and len(METRICS) > len(MAPS)


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
    # Of as many highest pixels as there are thin ones, in expectation the share that is thin among vessels.
    stem, _, part = metric.name.rpartition("-")
    share = SHARE.get(part, 0) / SHARE["vessels"]
    exact = {"auroc": 1, "mass": share, "lift": 1 / SHARE["vessels"], "rank": share}
    if stem in exact:
        assert (score(metric, ORACLE), score(metric, INVERTED)) == pytest.approx((exact[stem], 0))


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


def test_noise_has_no_gap_on_average() -> None:
    """What noise scores on average in comparisons with one mask is checked for every metric, see above."""
    gap, noise = registry.get("metric", "thin-gap"), rng().random((200, *VESSELS.shape)).astype(np.float32)
    values = [score(gap, map_) for map_ in noise]
    assert np.mean(values) == pytest.approx(0, abs=5 * np.std(values) / math.sqrt(200))


@every
def test_a_map_as_small_as_gradients_are_scores_the_same(metric: Plugin) -> None:
    assert score(metric, MIXED * np.float32(2.0**-40)) == pytest.approx(score(metric, MIXED), abs=1e-12)


@pytest.mark.parametrize("part", ["vessels", "thin", "thick"])
def test_a_case_without_the_part_is_skipped(part: str) -> None:
    caliber = {"vessels": torch.zeros(EYE.fov.shape), "thin": 9.0 * EYE.vessels, "thick": 0.5 * EYE.vessels}[part]
    without = replace(EYE, vessels=caliber > 0, caliber=caliber)
    for metric in (m for m in MAPS if m.family == "overlap" and m.name.endswith((part, "thin-gap"))):
        for map_ in (ORACLE, np.zeros_like(ORACLE), MIXED):
            with pytest.raises(Skipped, match=rf"case eye has no (thin |{part} )?vessel pixels"):
                score(metric, map_, without)
