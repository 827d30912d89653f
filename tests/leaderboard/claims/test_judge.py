import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaderboard.synthetic import component, leaderboards, record, stored, write_csv
from xaibench.errors import UserError
from xaibench.leaderboard.claims.false_positive_table import Component
from xaibench.leaderboard.claims.judge import Claim, judge, read_claims
from xaibench.leaderboard.tables.claims_table import render_claims
from xaibench.record import Record, Store
from xaibench.record.manifest import Manifest

IMAGES = 16
COMMAND = "xaibench run --data=drive --split test --method 'a b' --seed 3 -q"
GRADCAM = {"contrast-response": 0.4, "thin-gap": 0.5, "thin-gap-matched": 0.2, "auroc-thin": 0.55}
GRADCAM |= {"auroc-thick": 0.7, "lift-thin": 1.1, "lift-thick": 1.6, "fp-lift": 1.4}


def method(spec: str, means: dict[str, float], n: int = IMAGES, **changed: Any) -> list[Record]:
    """Scores with these means over images, and small differences between them."""
    noise = np.random.default_rng(len(spec)).normal(0, 0.01, (n, len(means)))
    noise -= noise.mean(0)
    scores = [{m: v + float(e) for (m, v), e in zip(means.items(), line, strict=True)} for line in noise]
    return [record(spec, f"{i:02d}", line, **changed) for i, line in enumerate(scores, 1)]


def components(excess: float, n: int = IMAGES) -> list[Component]:
    return [component(f"{i + 1:02d}", 0.3 + excess + 0.001 * i, 0.3) for i in range(n)]


def judged(records: Sequence[Record], found: Sequence[Component] = ()) -> dict[str, list[Claim]]:
    claims = judge(leaderboards(records), found)
    return {name: list(group) for name, group in itertools.groupby(claims, lambda c: c.name)}


def test_the_claims_of_a_run_in_which_all_hold() -> None:
    every = method("gradcam", GRADCAM)
    every += method("gradcam[layer=decoder-1/4]", {"thin-gap": 0.3, "thin-gap-matched": 0.1})
    every += method("lime", {"auroc-thin": 0.6, "lift-thin": 1.3})
    every += method("deep-shap", {"auroc-thin": 0.4, "lift-thin": 1})
    every += method("random", {"auroc-thin": 0.5}, control=True)
    found = judged(every, components(0.1))
    assert list(found) == ["1", "2", "2b", "2c", "3", "3b", "4", "5"]
    for name in ("1", "2", "2b", "2c", "3", "3b", "4"):
        (claim,) = found[name]
        assert (claim.verdict, claim.command) == ("supported", ""), name
    assert {c.method: c.verdict for c in found["5"]} == {"lime": "better", "deep-shap": "worse", "": "not measured"}
    assert "kernel-shap, partition-shap and shapley-sampling" in found["5"][2].statement
    made = [(c.method, t) for claims in found.values() for c in claims for t in c.tests]
    tests = {t.measure: t for of, t in made if of in ("gradcam", "lime")}
    assert tests["contrast-response"].value == pytest.approx(0.4)
    assert tests["auroc thick − thin"].value == pytest.approx(0.15)
    assert (tests["auroc-thick"].value, tests["auroc-thick"].against) == (pytest.approx(0.7), 0.5)
    assert (tests["lift-thick"].against, tests["fp-lift"].against) == (1, 1)
    assert tests["auroc-thin − gradcam"].value == pytest.approx(0.05)
    assert tests["lift-thin − gradcam"].value == pytest.approx(0.2)
    numbers = [(t.images, t.p, t.p_holm) for _, t in made if t.images]
    assert numbers == [(IMAGES, pytest.approx(2 / 2**IMAGES), pytest.approx(14 * 2 / 2**IMAGES))] * 14


def test_the_claims_of_a_run_in_which_none_holds() -> None:
    opposite = {"contrast-response": -0.4, "thin-gap": -0.5, "thin-gap-matched": -0.2, "auroc-thin": 0.45}
    opposite |= {"auroc-thick": 0.3, "lift-thin": 1.1, "lift-thick": 0.6, "fp-lift": 0.7}
    every = method("gradcam", opposite) + method("gradcam[layer=last]", {"thin-gap": -1, "thin-gap-matched": -1})
    found = judged(every, components(-0.1))
    verdicts = {name: claims[0].verdict for name, claims in found.items()}
    assert verdicts.pop("5") == "not measured" and set(verdicts.values()) == {"not supported"}


@pytest.mark.parametrize(("turned", "verdict"), [(0.2, "supported"), (0.9, "undecided"), (0.5, "undecided")])
def test_a_gap_must_exceed_what_the_map_gives_turned_vessels(turned: float, verdict: str) -> None:
    """A map that is high where the thick vessels are, but for another reason, has the gap at turned ones, too."""
    plain = method("gradcam", {m: v for m, v in GRADCAM.items() if m != "thin-gap"})
    gaps = [0.5 + 0.001 * (i - (IMAGES - 1) / 2) for i in range(IMAGES)]
    nulls = [{"thin-gap": [turned - 0.1 + 0.001 * i, turned + 0.1]} for i in range(IMAGES)]
    every = [
        record(r.spec, r.case, {s.metric: s.value for s in r.scores} | {"thin-gap": gap}, null)
        for r, gap, null in zip(plain, gaps, nulls, strict=True)
    ]
    (claim,) = judged(every)["2"]
    assert [t.measure for t in claim.tests] == ["thin-gap", "thin-gap − turned", "auroc thick − thin"]
    assert claim.tests[1].value == pytest.approx(0.5 - turned - 0.0005 * (IMAGES - 1) / 2)
    assert claim.tests[0].verdict == "supported" and claim.verdict == verdict
    assert "that ratio is" in claim.words


def test_the_words_carry_the_numbers() -> None:
    every = method("gradcam", GRADCAM | {"thin-gap": 1.0}) + method("lime", {"auroc-thin": 0.5, "lift-thin": 1.0})
    found = judged(every, components(0.1))
    assert found["2"][0].words == (
        "Grad-CAM is less informative for thin vessels: supported, since a pixel of a thick vessel holds 2.00 × the "
        "attribution of one of a thin vessel and its AUROC on thick vessels is .15 higher than on thin ones "
        "(16 images)."
    )
    worse = "lime against Grad-CAM on thin vessels: worse, since its AUROC on thin vessels is .05 lower"
    assert worse in found["5"][0].words
    assert "their vesselness is .108 higher" in found["3"][0].words
    few = judged(method("gradcam", GRADCAM, n=3))["1"][0].words
    assert few.endswith("(3 images, which is too few).") and ": undecided; over vessel segments" in few


def test_every_layer_of_the_run_is_judged() -> None:
    layers = {
        f"gradcam[layer=decoder-1/{n}]": {"thin-gap": gap, "thin-gap-matched": gap} for n, gap in ((4, 0.3), (2, -0.3))
    }
    every = [r for spec, means in layers.items() for r in method(spec, means)]
    found = judged(every + method("gradcam++[layer=last]", {"thin-gap": 9.0}))["2c"]
    assert {c.method: c.verdict for c in found} == dict(zip(layers, ("supported", "not supported"), strict=True))
    assert {c.statement.split()[-1] for c in found} == {"decoder-1/4", "decoder-1/2"}


def test_false_positives_are_explained_where_they_are_the_target() -> None:
    every = method("gradcam", GRADCAM) + method("gradcam", {"fp-lift": 0.5}, target="false-positives")
    (claim,) = judged(every)["3b"]
    assert (claim.target, claim.verdict) == ("false-positives", "not supported")
    without = method("gradcam", GRADCAM) + method("gradcam", {"srg": 0.5}, target="false-positives")
    (claim,) = judged(without)["3b"]
    assert (claim.target, claim.verdict) == ("vessels", "supported")
    assert claim.statement == "Grad-CAM of what is called vessel shows that texture at false positives"


@pytest.mark.parametrize(
    "records_",
    [
        lambda: method("random", {"srg": 0.5}, control=True),
        lambda: method("gradcam", GRADCAM, target="thin"),
        lambda: method("gradcam", {"srg": 0.4}),
        lambda: [record("gradcam", "01", {}, status="failed", reason="no")],
        # The column is there, but not of this method.
        lambda: method("gradcam", {"srg": 0.4}) + method("saliency", GRADCAM),
    ],
)
def test_what_is_not_in_the_run_is_not_measured_and_how_it_would_be(records_: Callable[[], list[Record]]) -> None:
    for name, claims in judged(records_()).items():
        for claim in claims:
            assert claim.verdict == "not measured" and claim.words.endswith(": not measured.")
            assert claim.command.startswith("xaibench run --target ") and " --method " in claim.command, name
    commands = {name: claims[0].command for name, claims in judged(records_()).items()}
    assert commands["1"] == "xaibench run --target vessels --method gradcam --metric contrast-response"
    layers = "'gradcam[layer=decoder-1/4]' 'gradcam[layer=decoder-1/2]'"
    assert commands["2c"] == f"xaibench run --target vessels --method {layers} --metric thin-gap thin-gap-matched"
    assert "--target false-positives --method gradcam --metric fp-lift" in commands["3b"]


def test_one_missing_measure_leaves_the_other() -> None:
    means = {m: v for m, v in GRADCAM.items() if m != "lift-thick"}
    (claim,) = judged(method("gradcam", means))["4"]
    assert claim.verdict == "supported" and claim.command.endswith("--method gradcam --metric lift-thick")


def test_images_without_a_meaningful_number_are_left_out_and_counted() -> None:
    every = method("gradcam", GRADCAM)
    skipped = [record("gradcam", "17", dict.fromkeys(GRADCAM, "skipped"))]
    (claim,) = judged(every + skipped)["1"]
    assert claim.verdict == "supported" and "(16 images, 1 without a meaningful number left out" in claim.words
    (lost,) = judged([*every, record("gradcam", "17", dict.fromkeys(GRADCAM))])["1"]
    assert lost.verdict == "undecided" and "nothing is decided" in lost.words
    in_part = record("gradcam", "17", {"thin-gap": "skipped", "auroc-thin": 0.5, "auroc-thick": 0.6})
    assert "(16 to 17 images, 1 without" in judged([*every, in_part])["2"][0].words
    every += method("lime", {"auroc-thin": 0.6, "lift-thin": 1.3})
    more = [record("gradcam", "17", {}, status="skipped"), record("lime", "17", {"auroc-thin": 0.1})]
    (other, *_) = judged([*every, *more])["5"]
    assert [t.left_out for t in other.tests] == [1, 1]


def with_manifest(folder: Path, command: str = COMMAND) -> Store:
    every = method("gradcam", GRADCAM) + method("gradcam", {"fp-lift": 1.5}, target="false-positives")
    store = stored(folder, every)
    cases = sorted({r.case for r in every})
    store.write_run(Manifest(command=command, dataset="drive", model="unet-drive", cases=cases))
    component = ["unet-drive", "vessels", 0, 0, 5, 6, 12, 0.4, 0.3, 0.9, 1.2]
    write_csv(folder, [["drive", case, *component] for case in cases[:-1]])
    return store


def test_claims_are_read_from_the_folder_of_a_run(tmp_path: Path) -> None:
    (claims,) = read_claims([with_manifest(tmp_path)])
    found = {c.name: c for c in claims}
    assert (found["3"].verdict, found["3"].tests[0].images, found["3"].tests[0].left_out) == ("supported", 15, 1)
    assert (found["3b"].target, found["3b"].verdict) == ("false-positives", "supported")
    assert found["5"].command == (
        f"xaibench run --data=drive --split test --seed 3 --cases 16 --out {tmp_path} --target vessels --method "
        "kernel-shap partition-shap shapley-sampling deep-shap lime gradcam --metric auroc-thin lift-thin"
    )


@pytest.mark.parametrize("command", ["notebook.py", "xaibench run 'unbalanced", ""])
def test_a_run_from_python_is_named_by_its_data_and_network(tmp_path: Path, command: str) -> None:
    (claims,) = read_claims([with_manifest(tmp_path, command)])
    assert claims[-1].command.startswith("xaibench run --data drive --model unet-drive --cases 16 --out ")


def test_each_network_is_judged_apart(tmp_path: Path) -> None:
    other = stored(tmp_path / "two", method("gradcam", GRADCAM, dataset="chase", weights_digest="other"))
    groups = read_claims([with_manifest(tmp_path / "one"), other])
    verdicts = [(g[0].dataset, {c.name: c.verdict for c in g}["3"]) for g in groups]
    assert verdicts == [("chase", "not measured"), ("drive", "supported")]
    text = render_claims(groups)
    assert "Claims · chase test" in text and "Claims · drive test" in text


def test_a_folder_without_records_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no record"):
        read_claims([Store(tmp_path)])


def test_the_table_and_its_rule() -> None:
    every = method("gradcam", GRADCAM) + method("gradcam[layer=a_b]", {"thin-gap": 1, "thin-gap-matched": 1})
    claims = judge(leaderboards(every), components(0.1))
    text = render_claims([claims])
    table = [line for line in text.split("(1)")[0].splitlines() if line]
    assert max(map(len, text.splitlines())) <= 130
    assert table[0] == "Claims · drive test · unet-drive"
    assert [line.split()[0] for line in table[3:] if line[0].isdigit()] == ["1", "2", "2b", "2c", "3", "3b", "4", "5"]
    assert "supported" in table[3] and "1.00" in table[3]
    said = " ".join(text.split())
    assert "after Holm over the 10 tests of this table" in said and "with fewer than 6 images" in said
    assert all(c.words in said for c in claims) and claims[-1].command in said
    markdown = render_claims([claims], "markdown")
    assert markdown.startswith("## Claims") and r"gradcam[layer=a\_b]" in markdown
    assert f"`{claims[-1].command}`" in markdown
    assert "No p of so many tests" not in said
    few = " ".join(render_claims([judge(leaderboards(method("gradcam", GRADCAM, 8)))]).split())
    # Seven tests of eight images reach 7 · 2 / 2⁸ = .055 at best, of nine .027.
    assert "No p of so many tests can fall below .05 with 8 images or fewer: it takes 9." in few


def test_json_is_strict_and_says_what_the_table_says() -> None:
    claims = judge(leaderboards(method("gradcam", GRADCAM, 1)))
    found = json.loads(render_claims([claims], "json"), parse_constant=pytest.fail)
    assert [line["claim"] for line in found] == [c.name for c in claims]
    assert found[0]["tests"][0] | {"images": 1, "low": None, "verdict": "undecided"} == found[0]["tests"][0]
    assert found[-1]["tests"][0]["value"] is None and found[-1]["command"].startswith("xaibench run")
