"""What reduced precision does to every metric, and to the length of a pass."""

import statistics
import time
from pathlib import Path

import pandas as pd
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.stats import kendalltau
from subject import Subject

import xaibench as xb
from xaibench.models.precision import in_precision
from xaibench.scorer.fusion import folded

METHODS = ["gradcam[layer=decoder-1/2]", "hirescam", "saliency", "deeplift", "lrp", "lime"]
COST = ("seconds", "passes", "peak-mb")


def scores(folder: Path, precision: str) -> pd.Series:
    """By metric, case and method: every metric of the standard suite, on small phantoms."""
    asked = {"data": "phantom[size=256]", "cases": 2, "suite": "standard", "precision": precision}
    found = xb.run(METHODS, **asked, out=folder / precision)
    return found[found.status == "ok"].set_index(["metric", "case", "method"]).value.sort_index()


def seconds(model: torch.nn.Module, image: torch.Tensor) -> float:
    one = image[None].contiguous(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for _ in range(7):
            start = time.perf_counter()
            model(one)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def test_precision(benchmark: BenchmarkFixture, subject: Subject, tmp_path: Path) -> None:
    whole, less = benchmark.pedantic(lambda: [scores(tmp_path, p) for p in ("float32", "bf16")], rounds=1, iterations=1)
    rows = {}
    for metric, before in whole.groupby("metric"):
        if metric in COST:
            continue
        after = less.reindex(before.index).dropna()
        before = before.reindex(after.index)
        if len(after) < 2:
            continue
        change, spread = (after - before).abs(), float(before.std())
        tau = float(kendalltau(before, after).statistic)
        rows[str(metric)] = [float(before.mean()), float(change.mean()), float(change.max()), spread, tau]
    model = xb.load_model("unet-drive")
    plain, reduced = folded(model), in_precision(model, "bf16")
    speeds = [seconds(reduced, subject.case.image) / seconds(plain, subject.case.image) for _ in range(3)]
    benchmark.extra_info.update(kind="precision", name="bf16", rows=rows, speed=statistics.median(speeds))
    assert len(rows) > 40
