import re
from dataclasses import replace
from typing import Any

import pytest
from made_up import draw_eye
from torch import Tensor

from xaibench import registry
from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.registry import parse
from xaibench.running.plan import SUITES, Cell, Plan, Setting, chosen_methods, chosen_metrics, run_name

SETTING = Setting("mine", "test", "net", "weights", "vessels", 0, (parse("metric", "srg"), parse("metric", "passes")))
CONTROLS = [p.name for p in registry.available("explainer")[0] if p.traits.control]


def mine(scorer: Any, image: Tensor, *, strength: float = 1.0) -> Tensor:
    return image[0] * strength


def test_controls_come_after_what_was_asked_for() -> None:
    methods = chosen_methods(["gradcam[layer=last]", mine], SUITES["quick"])
    assert list(map(str, methods)) == ["gradcam[layer=last]", "mine", *CONTROLS]
    assert len(CONTROLS) >= 5


def test_nothing_is_computed_twice() -> None:
    methods = chosen_methods(["gradcam", "random", "gradcam[layer=bottleneck]", mine, mine], SUITES["quick"])
    assert sorted(map(str, methods)) == sorted(["gradcam", "mine", *CONTROLS])


def test_two_functions_of_one_name_are_an_error() -> None:
    def other(scorer: Any, image: Tensor) -> Tensor:
        return image[1]

    other.__name__ = "mine"
    with pytest.raises(UserError, match="called mine"):
        chosen_methods([mine, other], SUITES["quick"])


def test_suites() -> None:
    names = {suite: list(map(str, chosen_methods([], SUITES[suite]))) for suite in SUITES}
    assert names["quick"] == ["gradcam", "gradcam[layer=decoder-1/2]", "saliency", "deeplift", "lrp", *CONTROLS]
    assert all(set(names[suite]) == set(registry.names("explainer")) for suite in ("full", "truth"))
    assert len(names["standard"]) == 19 + len(CONTROLS) and names["standard"][-len(CONTROLS) :] == CONTROLS
    assert set(names["quick"]) < set(names["standard"])
    metrics = {suite: list(map(str, chosen_metrics([], SUITES[suite]))) for suite in SUITES}
    assert all(len(set(m)) == len(m) for m in metrics.values())
    every = set(registry.names("metric"))
    truth = {name for name in every if registry.get("metric", name).family == "truth"}
    fills = {
        f"{curve}[fill={fill},steps=10]" for curve in ("srg", "deletion", "insertion") for fill in ("blur", "mean")
    }
    radii = {f"{name}[radius={r}]" for name in ("auroc-thin", "thin-gap", "thin-gap-matched") for r in (1.1, 2.1)}
    assert set(metrics["full"]) == every - truth | fills | radii | {"context[share=0.9]"}
    beside = {"srg-thin", "srg-thick", "irof"}
    assert set(metrics["full"]) - set(metrics["standard"]) == {"mprt", "max-sensitivity"} | beside
    assert set(metrics["standard"]) - set(metrics["full"]) == {f"{name}[steps=10]" for name in beside}
    assert {"srg[steps=6]", "auroc-thin", "lift-thin", "thin-gap", "seconds"} < set(metrics["quick"])
    assert {name.removesuffix("[steps=6]") for name in metrics["quick"]} < every
    assert not {"srg", "deletion", "dice-deletion"} & set(metrics["quick"])
    assert set(metrics["truth"]) == truth | {
        f"{name}[segmenter={kind}]" for name in ("planted", "planted-pixels") for kind in ("thick", "marker")
    }


def test_metrics_that_were_asked_for_are_all_there_are() -> None:
    assert list(map(str, chosen_metrics(["srg[fill=inpaint]", "srg", "passes"], SUITES["full"]))) == ["srg", "passes"]


def cells(case: Case, setting: Setting = SETTING) -> list[Cell]:
    methods = [parse("explainer", t) for t in ("gradcam", "gradcam[layer=last]", "random")]
    return Plan(methods, setting).cells(case.digest)


def test_keys_change_with_all_that_decides_a_map_and_nothing_else() -> None:
    eye = draw_eye()
    first = cells(eye)
    assert len({c.key for c in first}) == 3
    assert [c.key for c in cells(draw_eye(id="the same eye under another name"))] == [c.key for c in first]
    assert [c.key for c in cells(eye, replace(SETTING, metrics=(), model="another name", dataset="d", split="s"))] == [
        c.key for c in first
    ]
    others = [
        cells(draw_eye(image_seed=1)),
        cells(replace(eye, vessels=eye.vessels.flip(0))),
        *(
            cells(eye, replace(SETTING, **changed))
            for changed in ({"target": "thin"}, {"seed": 1}, {"weights_digest": "w"})
        ),
    ]
    assert len({c.key for plan in [first, *others] for c in plan}) == 3 * (1 + len(others))


def test_a_score_has_a_key_of_its_own() -> None:
    metrics = tuple(parse("metric", t) for t in ("srg", "srg[fill=blur]", "passes"))
    plan = cells(draw_eye(), replace(SETTING, metrics=metrics))
    keys = {key for cell in plan for key in cell.scores}
    assert len(keys) == 9 and not keys & {c.key for c in plan}
    assert [list(map(str, c.scores.values())) for c in plan] == [["srg", "srg[fill=blur]", "passes"]] * 3
    fewer = cells(draw_eye(), replace(SETTING, metrics=metrics[:1]))
    assert all(set(f.scores) < set(c.scores) for f, c in zip(fewer, plan, strict=True))


@pytest.mark.parametrize(
    ("data", "model", "target"),
    [("phantom[size=256]", "unet-phantom", "vessels"), ("/home/me/my eyes", "pkg.mod:make", "thin"), ("..", "", "")],
)
def test_a_runs_folder_has_a_plain_name(data: str, model: str, target: str) -> None:
    name = run_name(data, model, target)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name)
    assert name == run_name(data, model, target)
