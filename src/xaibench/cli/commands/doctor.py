"""``xaibench doctor``: versions, devices, data, weights, plugins and a self-test."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import TYPE_CHECKING

from xaibench import registry
from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.output_path import probe
from xaibench.cli.parser import Parser
from xaibench.disk import is_there
from xaibench.errors import UserError, plural

if TYPE_CHECKING:
    from xaibench.models.networks.vessel_network import VesselNetwork

SUMMARY = "Check this installation, with a self-test."
PACKAGES = ("xaibench", "torch", "monai", "numpy", "scipy", "scikit-image", "scikit-learn", "pandas", "safetensors")
SIZE = 128  # px, of the phantom of the self-test


@dataclass(frozen=True)
class Finding:
    """One line of the report: topic, text, and whether it is fine."""

    topic: str
    text: str
    ok: bool = True


def configure(parser: Parser) -> None:
    """The options of the command."""
    options.add_json(parser, "lines")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Print every finding; returns the exit code."""
    found: list[Finding] = []
    for finding in chain(_versions(), _devices(), _data(), _weights(), _plugins(), _cache(), _self_test()):
        found.append(finding)
        if not args.json:
            console.out(f"{'ok' if finding.ok else '!!'}  {finding.topic:9} {finding.text}")
    problems = sum(not f.ok for f in found)
    if args.json:
        console.out_json({"ok": not problems, "findings": [asdict(f) for f in found]})
    else:
        console.out(f"{plural(problems, 'problem')}, marked !!." if problems else "All is well.")
    return int(bool(problems))


def _versions() -> Iterator[Finding]:
    yield Finding("python", f"{platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        try:
            yield Finding("package", f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Finding("package", f"{package} is not installed: `pip install {package}`", ok=False)


def _devices() -> Iterator[Finding]:
    import torch

    threads = os.environ.get("OMP_NUM_THREADS")
    said = f", OMP_NUM_THREADS={threads}" if threads else ""
    yield Finding("device", f"cpu: {torch.get_num_threads()} threads of {os.cpu_count()} cores{said}")
    for i in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(i)
        yield Finding("device", f"cuda:{i}: {card.name}, {card.total_memory / 1e9:.0f} GB")
    if not torch.cuda.is_available():
        yield Finding("device", "no CUDA: all is computed on the CPU")


def _data() -> Iterator[Finding]:
    from xaibench.data.datasets.local_copy import copy_place, count_labelled
    from xaibench.data.io.source import open_source

    for declared in (plugin.traits for plugin in registry.available("dataset")[0] if plugin.traits.files):
        title, variable, labelled = declared.title, declared.variable, 0
        try:
            place = copy_place(declared)
        except UserError as error:  # an invalid path
            yield Finding("data", f"{title}: {variable}: {error.message}", ok=False)
            continue
        with contextlib.suppress(UserError):  # no data there, or other data
            labelled = count_labelled(declared, open_source(place))
        if labelled:
            yield Finding("data", f"{title}: {plural(labelled, 'labelled image')} in {place}")
        elif os.environ.get(variable):
            what = "holds no labelled images" if is_there(place) else "does not exist"
            yield Finding("data", f"{title}: {variable} is {place}, which {what}", ok=False)
        else:
            yield Finding("data", f"{title}: not in {place} (set {variable} to where it is)")
    yield Finding("data", "phantoms: built in")


def _weights() -> Iterator[Finding]:
    from xaibench.models import bundled
    from xaibench.models.weights_file import weights_digest

    for plugin in registry.available("model")[0]:
        if plugin.function.__module__ != bundled.__name__:
            continue
        try:
            yield Finding("weights", f"{plugin.name}: digest {weights_digest(plugin())}")
        except UserError as error:
            yield Finding("weights", f"{plugin.name}: {error.message}", ok=False)


def _plugins() -> Iterator[Finding]:
    for kind in registry.KINDS:
        good, broken = registry.available(kind)
        yield Finding("plugins", plural(len(good), kind))
        for reason in broken.values():
            yield Finding("plugins", reason, ok=False)


def _cache() -> Iterator[Finding]:
    from xaibench import cache
    from xaibench.scorer.batching import CACHE

    folder = cache.folder(CACHE)
    try:
        probe(folder / "doctor")
    except OSError as error:
        yield Finding("cache", f"{folder} cannot be written ({error.strerror}): set XDG_CACHE_HOME", ok=False)
    else:
        yield Finding("cache", f"{folder} can be written")


def _self_test() -> Iterator[Finding]:
    import numpy as np

    from xaibench.data.phantom.draw import draw_phantom
    from xaibench.explainers.explain import explain
    from xaibench.models.evaluate import predict
    from xaibench.scorer import Scorer, Target

    start = time.perf_counter()
    try:
        case = draw_phantom(0, (SIZE, SIZE))
        model, name = _network()
        # The labels are the target, so that the test also works with a network that predicts no vessel.
        scorer = Scorer(model, Target("labels", case.vessels, case.fov, predict(model, case.image), case.scale))
        map_ = explain(scorer, case.image, method="gradcam").numpy()
        score = registry.get("metric", "deletion")(map_, case, scorer, rng=np.random.default_rng(0))
        finite = bool(np.isfinite(map_).all() and np.isfinite([score.value, *score.curve[1]]).all())
    except Exception as error:  # any failure is a finding
        yield Finding("self-test", f"failed: {type(error).__name__}: {error}", ok=False)
        return
    what = f"gradcam and a deletion curve of {name} on a phantom of {SIZE} px"
    seconds = time.perf_counter() - start
    yield Finding("self-test", f"{what}: {'finite' if finite else 'not finite'}, {seconds:.1f} s", ok=finite)


def _network() -> tuple[VesselNetwork, str]:
    import torch

    from xaibench.models.bundled import unet_phantom
    from xaibench.models.networks.unet import VesselUNet

    try:
        return unet_phantom(), "unet-phantom"
    except UserError:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return VesselUNet().eval(), "an untrained network"
