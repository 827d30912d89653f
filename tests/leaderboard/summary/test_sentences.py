import itertools

import numpy as np
import pytest

from leaderboard.synthetic import aggregate, noisy, record, records
from xaibench.leaderboard.summary.sentences import summarise
from xaibench.record import Record

CONTROLS = {"random": 0.0, "frangi": 0.5, "prediction": 0.7}


def with_controls(methods: dict[str, list[float | None]], n: int = 20) -> list[Record]:
    controls = {name: noisy(level, 100 + i, n) for i, (name, level) in enumerate(CONTROLS.items())}
    return records(methods) + records(controls, control=True)


def about(lines: list[str], method: str) -> str:
    (line,) = [line for line in lines if line.startswith(f"{method}:")]
    return line


def test_each_method_is_held_against_the_three_controls() -> None:
    scores = {"best": noisy(0.9, 1), "middle": noisy(0.6, 2), "worst": noisy(-0.3, 3)}
    lines = summarise(aggregate(with_controls(scores)))
    best, middle, worst = (about(lines, m) for m in ("best", "middle", "worst"))
    assert "beats random (+.90 [" in best and "frangi (+.40 [" in best and "prediction (+.20 [" in best
    assert "does not beat" not in best
    assert "beats random (+.60 [" in middle and "but does not beat prediction (-.10 [" in middle
    assert "frangi (+.10 [" in middle.split(" but ")[0]
    assert "does not beat random (-.30 [" in worst and "beats" not in worst
    assert lines[0].startswith("best ranks first of 3 methods on srg (.90 [") and "told apart from all" in lines[0]


def test_a_difference_within_its_interval_beats_nothing() -> None:
    wide = noisy(0.51, 1, width=0.2)
    line = about(summarise(aggregate(with_controls({"a": wide}))), "a")
    assert "does not beat frangi (+.01 [-" in line


def test_the_comparison_is_paired() -> None:
    """Images differ far more than methods do on one image; unpaired intervals would overlap."""
    image = np.random.default_rng(0).normal(0, 0.3, 20)
    every = records({"a": [float(x) for x in image + 0.05]})
    every += records({"frangi": [float(x) for x in image]}, control=True)
    assert "beats frangi (+.05 [.05, .05])" in about(summarise(aggregate(every)), "a")


def test_methods_that_cannot_be_told_apart_are_named() -> None:
    shared = noisy(0.6, 1)
    twin = [x + d for x, d in zip(shared, itertools.cycle((0.001, 0.001, -0.002)), strict=False)]
    first = summarise(aggregate(records({"a": shared, "b": twin, "c": noisy(0.1, 2)})))[0]
    assert first.startswith("b ranks first of 3 methods") and first.endswith("but a cannot be told apart from it.")


@pytest.mark.parametrize(
    ("found", "first"),
    [
        (records({"a": [0.5, 0.1], "b": [0.1, 0.5]}), "a and b share the first place of 2 methods on srg"),
        (records({"a": [0.1, None]}), "No method is ranked, since none has srg on every image."),
        (records({"a": [0.1]}, "sparseness"), "No metric of this run has a direction, so no method is ranked."),
    ],
)
def test_a_shared_first_place_and_no_first_place(found: list[Record], first: str) -> None:
    assert summarise(aggregate(found))[0].startswith(first)


def test_one_image_gives_readings_and_no_claims() -> None:
    lines = summarise(aggregate(with_controls({"a": [0.6], "b": [0.4]}, n=1)))
    text = " ".join(lines)
    assert "on srg it is better than random (+.60) and frangi (+.10) but is not better than prediction (-.10)" in text
    assert not {"beat", "interval of", "apart"} & set(text.split()) and "beats" not in text and "[" not in text
    assert lines[-1].startswith("This is one image")


def test_few_images_carry_a_warning() -> None:
    assert "too few" in summarise(aggregate(records({"a": noisy(0.5, 1, 5)})))[-1]
    assert not any("too few" in line for line in summarise(aggregate(records({"a": noisy(0.5, 1, 6)}))))


def test_a_method_with_a_gap_is_said_to_be_unranked_and_why() -> None:
    gap: list[float | None] = noisy(0.9, 1)
    gap[4] = None
    lines = summarise(aggregate(with_controls({"gap": gap, "fine": noisy(0.6, 2)})))
    line = about(lines, "gap")
    assert "unranked, since srg is missing on 1 of 20 images (05: failed: it broke)" in line and "beat" not in line
    assert lines[0].startswith("fine is the only ranked method")


def test_controls_that_are_not_there_are_named() -> None:
    every = records({"a": noisy(0.5, 1)}) + records({"random": noisy(0, 2)}, control=True)
    assert "Not compared with frangi and prediction: no complete srg in this run." in summarise(aggregate(every))


CHANCE = [(0.8, 0.01, "above chance"), (0.2, 0.01, "below chance"), (0.5, 0.1, "not told from chance")]


@pytest.mark.parametrize(("level", "width", "said"), CHANCE)
@pytest.mark.parametrize("n", [1, 20])
def test_thin_vessels_against_chance(level: float, width: float, said: str, n: int) -> None:
    line = about(summarise(aggregate(records({"a": noisy(level, 1, n, width)}, "auroc-thin"))), "a")
    assert f"on thin vessels its AUROC is {level:.2f}".replace("0.", ".") in line and said in line


@pytest.mark.parametrize(("turned", "said"), [(0.35, "above"), (0.45, "not told from"), (0.5, "below")])
@pytest.mark.parametrize("n", [1, 20])
def test_a_map_s_own_chance_is_what_it_has_with_turned_vessels(turned: float, said: str, n: int) -> None:
    nulls = {"auroc-thin": [turned - 0.1, turned + 0.1]}
    line = about(summarise(aggregate(records({"a": noisy(0.45, 1, n)}, "auroc-thin", nulls=nulls))), "a")
    level = f"{turned:.2f}".replace("0.", ".")
    value = f".45{' [.45, .45]' * (n > 1)}"
    assert f"on thin vessels its AUROC is {value}, {said} chance ({level}, with vessels turned" in line


GAPS = [(1.0, "thick vessels 2.00-fold"), (-2.0, "thin vessels 4.00-fold"), (0.0, "neither thin nor thick")]


@pytest.mark.parametrize(("level", "said"), GAPS)
@pytest.mark.parametrize("n", [1, 20])
def test_thin_against_thick(level: float, said: str, n: int) -> None:
    assert said in about(summarise(aggregate(records({"a": noisy(level, 1, n)}, "thin-gap"))), "a")


def test_where_lower_is_better_lower_beats() -> None:
    every = records({"a": noisy(0.1, 1)}, "deletion")
    every += records({"frangi": noisy(0.4, 2)}, "deletion", control=True)
    assert "on deletion it beats frangi" in about(summarise(aggregate(every)), "a")


def test_a_failed_gate_is_said() -> None:
    every = [record(m, "01", {"srg": 0.5, "mprt": v}) for m, v in (("a", 0.9), ("b", 0.1))]
    lines = summarise(aggregate(every))
    assert "a: it fails the gate mprt." in lines and not any("b:" in line for line in lines)
