"""The few public names, used as a notebook uses them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from faults import python
from torch import Tensor, nn

import xaibench as xb
from xaibench.data.case import Case


def test_every_public_name_is_there() -> None:
    assert sorted(xb.__all__) == dir(xb)
    for name in xb.__all__:
        assert getattr(xb, name).__name__ == name and getattr(xb, name).__module__.startswith("xaibench")


@pytest.mark.parametrize("first", ["xaibench", "xaibench.running.execute", "xaibench.scorer.target"])
def test_a_public_name_is_the_same_whatever_was_imported_before(first: str) -> None:
    python(
        f"import {first}\nimport xaibench as xb\n"
        "assert xb.run.__name__ == 'run' and xb.model.__module__ == 'xaibench.registry.declare'\n"
        "from xaibench import model, run, target\n"
        "import xaibench.models.model_loader, xaibench.running.execute\n"
        "from xaibench.running.execute import execute\n"
        "from xaibench.models.networks import unet\n"
        "assert xb.run is run and xb.model is model and xb.target is target and callable(model)\n"
    )


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="attribute torch"):
        _ = xb.torch
    with pytest.raises(ImportError):
        exec("from xaibench import nothing_of_this_name")


def test_from_an_image_to_a_score(network: nn.Module, tmp_path: Path) -> None:
    case = xb.load_cases("phantom[size=128]", count=1)[0]
    prediction = network(case.image[None]).detach()[0, 0]
    model = xb.load_model(network)
    with pytest.raises(xb.UserError):
        xb.target("vesels", model, case)
    target = xb.Target("upper half", prediction > prediction[case.fov].median(), case.fov, prediction.sigmoid())
    scorer = xb.Scorer(model, target)
    map_ = xb.explain(scorer, case.image, method="gradcam[layer=decoder-1/2]", seed=0)
    assert isinstance(map_, Tensor) and map_.shape == (128, 128)

    def my_function(scorer: xb.Scorer, image: Tensor, *, rng: Any) -> Tensor:
        return 1 - image[1]

    table = xb.run(
        methods=["gradcam[layer=last]", my_function],
        data="phantom[size=128]",
        cases=1,
        metrics=["auroc-vessels", "passes"],
        model=network,
        out=tmp_path / "run",
    )
    mine = table[(table.method == "my-function") & (table.metric == "auroc-vessels")]
    assert len(mine) == 1 and mine.status.item() == "ok" and 0 < mine.value.item() <= 1


def test_plugins_are_made_with_the_public_decorators(eye: Case) -> None:
    @xb.explainer("my-map", family="perturbation")
    def my_map(scorer: xb.Scorer, image: Tensor, *, rng: Any, level: float = 0.5) -> Tensor:
        """Dark pixels."""
        return (level - image[1]).clamp(0)

    @xb.metric("my-metric", family="overlap", better="higher", range=(0, 1))
    def my_metric(attribution: Any, case: xb.Case, scorer: xb.Scorer, *, rng: Any) -> xb.Score:
        """Share of the vessels that are shown at all."""
        if not case.vessels.any():
            raise xb.Skipped("no vessels")
        return xb.Score(float((torch.as_tensor(attribution) > 0)[case.vessels].float().mean()))

    scorer = xb.Scorer(nn.Conv2d(3, 1, 1), xb.Target("mine", eye.vessels, eye.fov, eye.vessels.float()))
    map_ = xb.explain(scorer, eye.image, method=my_map)
    assert my_metric(map_, eye, scorer, rng=None).value == 1
