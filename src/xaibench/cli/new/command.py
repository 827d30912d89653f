"""``xaibench new explainer`` and ``new metric``: write a package skeleton for a plugin."""

import argparse
import os
import re
import shutil
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from xaibench import registry
from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.parser import Parser
from xaibench.disk import writing
from xaibench.errors import UserError

FUNCTIONS = {"explainer": "map", "metric": "score"}  # suffix of the function's name: what it returns


SUMMARY = "Write a package skeleton for your own {kind}."
EPILOG = """The package holds one {kind} that works, for you to replace, its entry point, and its test:
  xaibench new {kind} my-{kind}
  pip install -e my-{kind}
  xaibench check my-{kind}"""


def configure(kind: str, parser: Parser) -> None:
    """The options of ``new explainer`` and ``new metric``."""
    parser.add_argument("name", metavar="NAME", help="what users will type: lower-case letters, digits, hyphens")
    options.add_out(parser, "FOLDER", "where to write it (default: NAME)")


def execute(kind: str, args: argparse.Namespace, console: Console) -> None:
    """Write the package."""
    name = _free(kind, args.name)
    out: Path = args.out or Path(name)
    _write(plugin_package(kind, name), out)
    console.out(f"The {kind} {name} is in {out}, its function in {out / 'src' / _package(name) / '__init__.py'}.")
    tried = f"--method {name}" if kind == "explainer" else f"--method gradcam --metric {name}"
    console.note(f"Next: pip install -e {out}, xaibench check {name}, xaibench run {tried}")


def plugin_package(kind: str, name: str) -> dict[str, str]:
    """The files of a plugin package: relative paths and their texts.

    Args:
        kind: ``"explainer"`` or ``"metric"``.
        name: a valid name, see :func:`_free`.
    """
    identifier, package = name.replace("-", "_"), _package(name)
    words = {
        "name": name,
        "distribution": f"xaibench-{name}",
        "package": package,
        # The suffix keeps it apart from Python keywords and the names that the module imports.
        "function": f"{identifier}_{FUNCTIONS[kind]}",
        "version": version("xaibench"),
    }
    places = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
        f"src/{package}/__init__.py": "package.py.txt",
        f"tests/test_{identifier}.py": "test.py.txt",
    }
    templates = files("xaibench.cli.new") / "templates" / kind
    return {
        place: Template((templates / template).read_text("utf-8")).substitute(words)
        for place, template in places.items()
    }


def _package(name: str) -> str:
    return f"xaibench_{name.replace('-', '_')}"


def _free(kind: str, name: str) -> str:
    """The name, if it is valid and free.

    Raises:
        UserError: if it is malformed or taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")
        raise UserError(
            f"{name!r} is no name for a plugin: lower-case letters, digits, and hyphens between them, a letter first.",
            f"Try {plain}." if plain else "Try my-method.",
        )
    if name in registry.names(kind):
        raise UserError(
            f"There is {'an' if kind == 'explainer' else 'a'} {kind} called {name!r} already.", "Give another name."
        )
    return name


def _write(texts: dict[str, str], out: Path) -> None:
    """Write the files below ``out``: all of them or none.

    Raises:
        UserError: if ``out`` is a file, is not empty, or cannot be written.
    """
    with writing(out):
        if out.exists() and not out.is_dir():
            raise UserError(f"{out} is a file.", "Give --out the name of a folder.")
        if out.is_dir() and any(out.iterdir()):
            raise UserError(f"The folder {out} is not empty.", "Give another --out.")
        # Inside the folder if it exists: it may be the working directory, which cannot be replaced.
        part = (out if out.is_dir() else out.parent) / f".{out.name}.{os.getpid()}.part"
        try:
            for place, text in texts.items():
                (part / place).parent.mkdir(parents=True, exist_ok=True)
                (part / place).write_text(text, "utf-8")
            if not out.is_dir():
                part.rename(out)
            else:
                for child in part.iterdir():
                    child.rename(out / child.name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
