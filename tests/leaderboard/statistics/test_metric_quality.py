import json
import math

import numpy as np
import pytest
import scipy.stats

from leaderboard.synthetic import aggregate, by_column, csv_rows, leaderboards, noisy, record, records
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.statistics.metric_quality import FEW, NO, UNKNOWN, WRONG, YES, Quality, qualities
from xaibench.leaderboard.statistics.rank_tests import rank_biserial
from xaibench.leaderboard.tables.metric_quality_table import render_metrics
from xaibench.leaderboard.tables.render import render
from xaibench.record import Record
from xaibench.vocabulary import TABLE_FORMATS as FORMATS

IMAGES = 12


def controls(metric: str, noise_scores: list[float], truth: list[float]) -> list[Record]:
    return records({"random": noise_scores, "vessels-oracle": truth}, metric, control=True)


def quality(records_: list[Record], metric: str) -> Quality:
    return qualities(aggregate(records_))[metric]


def test_effect_and_p_against_scipy() -> None:
    a, b = noisy(0.50, 1, width=0.1), noisy(0.55, 2, width=0.1)
    found = quality(controls("srg", a, b), "srg")
    d = np.array(b) - np.array(a)
    assert (found.p, found.effect) == pytest.approx((scipy.stats.wilcoxon(d).pvalue, rank_biserial(d)))


@pytest.mark.parametrize(
    ("metric", "random", "truth", "tells", "effect"),
    [
        ("srg", 0.0, 0.9, YES, 1),
        ("srg", 0.9, 0.0, WRONG, -1),
        ("deletion", 0.9, 0.1, YES, 1),
        ("deletion", 0.1, 0.9, WRONG, -1),
        ("thin-gap", -1.0, 0.1, YES, 1),
        ("thin-gap", 0.1, -1.0, WRONG, -1),
        ("sparseness", 0.1, 0.9, YES, 1),
        ("sparseness", 0.9, 0.1, YES, -1),  # it has no better end, so that it cannot be on the wrong side
    ],
)
def test_whether_a_metric_tells_noise_from_the_truth(
    metric: str, random: float, truth: float, tells: str, effect: float
) -> None:
    found = quality(controls(metric, noisy(random, 1, IMAGES), noisy(truth, 2, IMAGES)), metric)
    assert (found.tells, found.effect, found.weak) == (tells, effect, tells == WRONG)
    assert found.p == pytest.approx(2 / 2**IMAGES)


@pytest.mark.parametrize("n", [1, 5, 6])
def test_too_few_images_are_no_fault_of_the_metric(n: int) -> None:
    found = quality(controls("srg", noisy(0.9, 1, n), noisy(0.1, 2, n)), "srg")
    assert (found.tells, found.weak) == ((FEW, False) if n < 6 else (WRONG, True))
    assert ("Too few images" in render([aggregate(controls("srg", [0.5] * n, [0.6] * n))])) == (n < 6)


@pytest.mark.parametrize("lost", ["random", "vessels-oracle"])
def test_without_one_of_the_two_nothing_is_said(lost: str) -> None:
    every = [r for r in controls("srg", noisy(0.1, 1), noisy(0.9, 2)) if r.method != lost]
    every += records({"a": noisy(0.5, 3)})
    found = quality(every, "srg")
    assert (found.tells, found.weak) == (UNKNOWN, False) and math.isnan(found.effect) and math.isnan(found.p)


def test_images_on_which_one_of_the_two_lacks_a_score_are_left_out() -> None:
    every = records({"random": [0.1] * 7, "vessels-oracle": [0.9] * 6 + ["skipped"]}, control=True)
    found = quality(every, "srg")
    assert (found.tells, found.effect, found.p) == (YES, 1, 2 / 2**6)
    assert found.missing == pytest.approx(1 / 14)
    none = quality(records({"random": ["skipped"] * 7, "vessels-oracle": [0.5] * 7}, control=True), "srg")
    assert none.tells == UNKNOWN


def test_ranks_that_change_with_the_image_are_weak() -> None:
    rng = np.random.default_rng(0)
    every = records({f"m{i}": rng.uniform(size=20).tolist() for i in range(5)})
    found = quality(every, "srg")
    assert found.alpha < 0.1 and found.weak and found.tells == UNKNOWN
    steady = quality(records({f"m{i}": [i / 10] * 20 for i in range(5)}), "srg")
    assert steady.alpha == 1 and not steady.weak


def test_the_lowest_agreement_between_fills() -> None:
    means = {"srg": [0.1, 0.2, 0.3], "srg[fill=blur]": [0.2, 0.3, 0.4], "srg[steps=5,fill=mean]": [0.1, 0.3, 0.2]}
    means |= {"srg-thin[steps=5,fill=mean]": [0.3, 0.2, 0.1], "insertion": [0.3, 0.2, 0.1]}
    frangi = record("frangi", "01", dict.fromkeys(means, 0.0), control=True)
    found = qualities(aggregate([*by_column(means), frangi]))
    tau = {name: q.tau_fills for name, q in found.items() if not math.isnan(q.tau_fills)}
    assert tau == pytest.approx({"srg": 1 / 3, "srg[fill=blur]": 1 / 3, "srg[steps=5,fill=mean]": 1 / 3})


def test_a_gate_and_a_cost_are_never_weak() -> None:
    same = [0.5] * 8
    every = [r for metric in ("mprt", "peak-mb", "srg") for r in controls(metric, same, same)]
    found = qualities(aggregate(every))
    assert set(found) == {"mprt", "srg"} and (found["mprt"].tells, found["mprt"].weak) == (NO, False)
    srg = found["srg"]
    assert (srg.effect, srg.p, srg.tells, srg.weak) == (0, 1, NO, True)


def test_controls_that_never_change_are_no_fault_of_a_metric_about_changes() -> None:
    still = controls("target-sensitivity", [0.0] * IMAGES, [0.0] * IMAGES)
    found = quality(still, "target-sensitivity")
    assert (found.tells, found.weak) == (NO, False)
    rng = np.random.default_rng(0)
    changing = records({f"m{i}": rng.uniform(size=20).tolist() for i in range(5)}, "target-sensitivity")
    assert quality(changing, "target-sensitivity").weak  # its ranks still have to agree


@pytest.fixture
def boards() -> list[Leaderboard]:
    every = controls("srg", noisy(0.1, 1), noisy(0.9, 2)) + controls("deletion", noisy(0.1, 1), noisy(0.1, 1))
    every += records({"a|b": noisy(0.5, 3), "c": noisy(0.2, 4)}, r"x_$[fill=a|b]<i>")
    return leaderboards(every)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_shows_every_metric(boards: list[Leaderboard], format: str) -> None:
    text = render_metrics(boards, format)
    assert "srg" in text and "deletion" in text and "not measured" in text
    if format in ("markdown", "html"):
        assert "<i>" not in text and "&lt;i" in text
    if format == "latex":
        assert r"x\_\${[}fill=a|b{]}\textless{}i\textgreater{}" in text


def test_csv_and_json_have_the_same_rows(boards: list[Leaderboard]) -> None:
    lines = csv_rows(render_metrics(boards, "csv"))
    heads = "metric family better effect p tells alpha tau_fills chance_lo chance_hi missing weak"
    assert list(lines[0]) == heads.split()
    found = json.loads(render_metrics(boards, "json"))
    assert [{k: "" if r[k] is None else str(r[k]) for k in lines[0]} for r in found] == lines
    assert found[0]["dataset"] == "drive" and [r["weak"] for r in found] == [False, True, False]
    several = leaderboards(controls("srg", [0.1], [0.2]) + records({"a": [0.1]}, target="thin"))
    assert render_metrics(several, "csv").startswith("dataset,split,model,target,metric,")


def test_the_terminal_dims_what_is_weak_if_asked(boards: list[Leaderboard]) -> None:
    plain, faint = render_metrics(boards), render_metrics(boards, faint=True)
    assert "\x1b" not in plain and faint.replace("\x1b[2m", "").replace("\x1b[0m", "").split() == plain.split()
    assert [line.split()[0] for line in faint.splitlines() if "\x1b[2m" in line] == ["\x1b[2mdeletion"]
