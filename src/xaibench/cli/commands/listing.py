"""``xaibench list``: the registered explainers, metrics, datasets and models."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import inspect
import json
import math
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xaibench import cache, registry
from xaibench.bibliography import find
from xaibench.cli.console import Console, table
from xaibench.cli.parser import Parser, one_of

SUMMARY = "List explainers, metrics, datasets or models."
KINDS = tuple(f"{kind}s" for kind in registry.KINDS)


def configure(parser: Parser) -> None:
    """The options of the command."""
    parser.add_argument("kind", type=one_of(*KINDS), metavar="KIND", help=", ".join(KINDS))
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON array of objects")
    form.add_argument("--markdown", action="store_true", help="a Markdown table")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Print the plugins of a kind; returns the exit code."""
    kind = args.kind.removesuffix("s")
    found, broken = _found(kind)
    if args.json:
        nothing = {"family": "", "control": False, "parameters": {}, "summary": ""}
        console.out_json(found + [{"name": n, **nothing, "error": reason} for n, reason in broken.items()])
        return 0
    if args.markdown:
        heads, lines = columns(kind, [f | {"paper": _linked(f)} if "paper" in f else f for f in found])
        rows = [heads, ["---"] * len(heads), *lines]
        console.out("\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows))
    else:
        heads, lines = columns(kind, found)
        console.out("\n".join(map(_fit, table(heads, lines, left=len(heads)).splitlines())))
    for reason in broken.values():
        console.out(f"not usable: {reason}")
    return 0


def _found(kind: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The descriptions of the plugins of a kind, and the reason for each plugin that is not usable.

    Describing a plugin imports it, and PyTorch with it. So descriptions are cached until a file of one of the packages
    changes. Plugins that fail to import are tried again each time, and so are models, whose weights may move.
    """
    if kind == "model":
        return _look(kind)
    stamp = _stamp(kind)
    remembered = cache.recall("list", kind)
    if isinstance(remembered, dict) and remembered.get("stamp") == stamp:
        return remembered["found"], {}
    found, broken = _look(kind)
    if not broken:
        cache.remember("list", kind, {"stamp": stamp, "found": found})
    return found, broken


def _look(kind: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    plugins, broken = registry.available(kind)
    return [_about(plugin) for plugin in plugins], broken


def _stamp(kind: str) -> str:
    """A digest of the entry points of a kind, the files of their packages, and the installed packages."""
    points = registry.registered(kind)
    h = hashlib.sha256(json.dumps([sys.version, points]).encode())
    for folder in sys.path:  # changes with any installed package; a plugin may depend on it
        with contextlib.suppress(OSError):
            if folder.endswith("-packages"):
                h.update(f"{folder} {Path(folder).stat().st_mtime_ns}".encode())
    for package in sorted({value.partition(":")[0].partition(".")[0] for _name, value, _dist in points}):
        for path in _files(package):
            with contextlib.suppress(OSError):
                h.update(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}".encode())
    return h.hexdigest()


def _files(package: str) -> list[Path]:
    """The files of a package or module, found without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    folders = [Path(f) for f in spec.submodule_search_locations or ()]
    inside = (p for folder in folders for p in folder.rglob("*") if p.suffix != ".pyc" and p.is_file())
    return sorted([*inside, *([Path(spec.origin)] if spec.origin and not folders else [])])


def columns(kind: str, found: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the table of a kind."""
    heads, lines = ["name", "family"], [[f["name"], f["family"]] for f in found]
    if kind == "metric":
        heads += ["better", "range", "source"]
        for line, f in zip(lines, found, strict=True):
            line += [f["better"], _range(*f["range"]), f["paper"]]
    if kind == "explainer":
        heads += ["values", "source", "by"]
        for line, f in zip(lines, found, strict=True):
            traits = ["signed" if f["signed"] else "unsigned"]
            traits += ["stochastic"] * f["stochastic"] + ["sees labels"] * f["sees_labels"]
            line += [", ".join(traits), f["paper"], f["library"] or f["distribution"].partition(" ")[0]]
    for line, f in zip(lines, found, strict=True):
        line += [", ".join(f"{k}={v}" for k, v in f["parameters"].items()), f["summary"] + _weights(f)]
    return [*heads, "parameters", "what it is"], lines


def _about(plugin: registry.Plugin) -> dict[str, Any]:
    """The description of a plugin in JSON types."""
    about: dict[str, Any] = {
        "name": plugin.name,
        "family": plugin.family,
        "control": getattr(plugin.traits, "control", False),
        "parameters": {k: None if v is inspect.Parameter.empty else v for k, v in plugin.parameters.items()},
        "summary": plugin.summary,
        "distribution": " ".join(plugin.distribution),
    }
    if plugin.kind == "model":
        return about | (_bundled(plugin.name) if plugin.function.__module__ == "xaibench.models.bundled" else {})
    traits = asdict(plugin.traits)
    return about | traits | (_source(traits["paper"]) if "paper" in traits else {})


def _source(paper: str) -> dict[str, str]:
    """The paper of a plugin; of one that the bibliography does not list, what the plugin says."""
    listed = find(paper)
    details = {name: getattr(listed, name) if listed else "" for name in ("key", "title", "doi", "arxiv", "url")}
    return {"paper": listed.short if listed else paper} | details


def _bundled(name: str) -> dict[str, Any]:
    """The weights file of a bundled model, and its card."""
    from xaibench.errors import UserError
    from xaibench.models.bundled import FOLDER
    from xaibench.models.weights_file import read_card

    path: Path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        return {"weights": None}
    try:
        card = read_card(path)
    except UserError as error:
        return {"weights": str(path), "error": str(error)}
    return {"weights": str(path), "network_parameters": _parameter_count(path), "card": card}


def _parameter_count(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = [k for k in file.keys() if k.endswith((".weight", ".bias"))]  # noqa: SIM118 - the handle is no dict
        return sum(math.prod(file.get_slice(k).get_shape()) for k in names)


def _weights(about: dict[str, Any]) -> str:
    if "error" in about:
        return f" {about['error']}"
    if "weights" not in about:
        return ""
    if about["weights"] is None:
        return " (no bundled weights)"
    figures = about["card"].get("validation", {})
    shown = [f"{k} {figures[k]:.3f}" for k in ("auc", "ap", "f1") if isinstance(figures.get(k), float)]
    size = f"{about['network_parameters']:,} parameters"
    recipe = about["card"].get("recipe")
    held_out = not isinstance(recipe, dict) or recipe.get("holdout") != 0
    where = "" if held_out or not shown else "; on images that it was trained on"
    return f" ({', '.join([size + where, *shown])})"


def _linked(about: dict[str, Any]) -> str:
    """The paper as Markdown: a link where the bibliography has its address."""
    return f"[{about['paper']}]({about['url']})" if about["url"] else about["paper"]


def _range(low: float, high: float) -> str:
    return f"{low:g} … {high:g}".replace("inf", "∞")


def _fit(line: str) -> str:
    """The line; on a terminal, cut to its width."""
    width = shutil.get_terminal_size().columns
    return f"{line[: width - 1]}…" if sys.stdout.isatty() and len(line) > width else line
