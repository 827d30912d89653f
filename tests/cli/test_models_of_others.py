"""Networks that know nothing of this project, from a factory in a module of the user's own."""

from functools import partial
from pathlib import Path

import pytest
from nets import make

from cli.said import Run
from xaibench.running.plan import SUITES

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


# The last one has no other resolution than the image's and that of its bottleneck.
LACKING = {"attention_unet": set(), "seg_res_net": set(), "pooling_unet": {"gradcam[layer=decoder-1/2]"}}


@pytest.mark.parametrize("factory", LACKING)
def test_every_method_of_the_default_suite_runs_on_it(xaibench: Run, factory: str) -> None:
    data = ("--data", "phantom[size=128]", "--cases", "1", "--model", f"{__name__}:{factory}")
    said = xaibench("run", *data, "--metric", "auroc-vessels", "--out", "theirs", "--json")
    lost = {name: line["reason"] for line in said.json["lost"] for name in line["what"]}
    assert said.code == 0 and lost.keys() == LACKING[factory] | {"second-observer"}
    assert all("no layer 'decoder-1/2'; it has bottleneck, last" in lost[name] for name in LACKING[factory])
    assert {row["method"] for row in said.json["leaderboard"]} >= set(SUITES["quick"].methods)


FILE = """import torch
class Edges(torch.nn.Conv2d): pass
def make(): return Edges(3, 1, 3, padding=1)
"""


@pytest.mark.parametrize("more", [(), ("--workers", "1")], ids=["here", "worker"])
def test_a_file_in_the_working_folder_is_found_also_by_workers(xaibench: Run, more: tuple[str, ...]) -> None:
    file = Path(f"edges_of_{len(more)}.py")  # a name of its own, since the process imports a module once
    file.write_text(FILE)
    data = ("--data", "phantom[size=128]", "--cases", "1", "--metric", "passes", "--method", "saliency")
    said = xaibench("run", *data, "--model", f"{file}:make", *more)
    assert said.code == 0 and "0 failed" in said.err
