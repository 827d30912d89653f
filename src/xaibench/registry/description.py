"""Descriptions of plugins in JSON types, cached until a package changes."""

import contextlib
import hashlib
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xaibench import cache
from xaibench.bibliography import find
from xaibench.registry.entry_points import registered
from xaibench.registry.injection import REQUIRED
from xaibench.registry.lookup import available
from xaibench.registry.plugin import Plugin

Description = dict[str, Any]  # by the names that `xaibench list --json` shows


def descriptions(kind: str) -> tuple[list[Description], dict[str, str]]:
    """The descriptions of the plugins of a kind, and by name the reason for each plugin that is not usable.

    Describing a plugin imports it, and often PyTorch with it. So descriptions are cached until a file of one of the
    packages changes. If a plugin fails to import, nothing is cached, so that it is tried again.
    """
    stamp = _stamp(kind)
    cached = cache.recall("list", kind)
    if isinstance(cached, dict) and cached.get("stamp") == stamp:
        return cached["found"], {}
    plugins, broken = available(kind)
    found = [describe(plugin) for plugin in plugins]
    if not broken:
        cache.remember("list", kind, {"stamp": stamp, "found": found})
    return found, broken


def describe(plugin: Plugin[Any]) -> Description:
    """The name, parameters, summary and traits of a plugin; its paper as the bibliography has it, else as declared."""
    traits = asdict(plugin.traits)
    about = {
        "name": plugin.name,
        "family": plugin.family,
        "control": False,
        "parameters": {k: None if v is REQUIRED else v for k, v in plugin.parameters.items()},
        "summary": plugin.summary,
        "distribution": " ".join(plugin.distribution),
    }
    if "paper" not in traits:
        return about | traits
    listed = find(traits["paper"])
    details = {name: getattr(listed, name) if listed else "" for name in ("key", "title", "doi", "arxiv", "url")}
    return about | traits | {"paper": listed.short if listed else traits["paper"]} | details


def _stamp(kind: str) -> str:
    """A digest of the entry points of a kind, the files of their packages, and the installed packages."""
    points = registered(kind)
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
