"""Networks that know nothing of this project, from a factory in a module of the user's own."""

from functools import partial

import pytest
from nets import make

from cli.said import Run

attention_unet, seg_res_net, pooling_unet = (partial(make, n) for n in ("attention-unet", "segresnet", "pooling"))
METHODS = ("gradcam", "hirescam[layer=last]", "saliency", "integrated-gradients[steps=3]", "deeplift", "lrp")


@pytest.mark.parametrize("factory", ["attention_unet", "seg_res_net", "pooling_unet"])
def test_a_run_on_someone_elses_network(xaibench: Run, factory: str) -> None:
    methods = [word for method in METHODS for word in ("--method", method)]
    data = ("--data", "phantom[size=128]", "--cases", "1", "--model", f"{__name__}:{factory}")
    said = xaibench("run", *data, *methods, "--metric", "auroc-vessels", "--out", "theirs", "--json")
    document = said.json
    assert said.code == 0 and document["cells"]["failed"] == 0
    lost = {name for line in document["lost"] for name in line["what"]}
    assert lost <= {"second-observer"}  # phantoms have none
    assert {row["method"] for row in document["leaderboard"]} >= set(METHODS)
