"""``xaibench list``: the registered explainers, metrics, datasets and models."""

import argparse
import shutil
import sys
from collections.abc import Callable
from operator import itemgetter

from xaibench import registry
from xaibench.cli.console import Console, table
from xaibench.cli.parser import Parser, one_of
from xaibench.registry.description import Description, descriptions

SUMMARY = "List explainers, metrics, datasets or models."
KINDS = tuple(f"{kind}s" for kind in registry.KINDS)


def configure(parser: Parser) -> None:
    """The options of the command."""
    parser.add_argument("kind", type=one_of(*KINDS), metavar="KIND", help=", ".join(KINDS))
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON array of objects")
    form.add_argument("--markdown", action="store_true", help="a Markdown table")


def execute(args: argparse.Namespace, console: Console) -> None:
    """Print the plugins of a kind."""
    kind = args.kind.removesuffix("s")
    found, broken = descriptions(kind)
    if kind == "model":  # weights are looked up each time: they may move
        from xaibench.models.bundled import describe_weights

        found = [about | describe_weights(about["name"]) for about in found]
    if args.json:
        nothing = {"family": "", "control": False, "parameters": {}, "summary": ""}
        console.out_json(found + [{"name": n, **nothing, "error": reason} for n, reason in broken.items()])
        return
    if args.markdown:
        heads, *lines = rows(kind, [f | {"paper": _linked(f)} if "paper" in f else f for f in found])
        for row in (heads, ["---"] * len(heads), *lines):
            console.out(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    else:
        heads, *lines = rows(kind, found)
        console.out("\n".join(map(_fit, table(heads, lines, left=len(heads)).splitlines())))
    for reason in broken.values():
        console.out(f"not usable: {reason}")


def rows(kind: str, found: list[Description]) -> list[list[str]]:
    """The table of a kind: its heads, and a line per plugin."""
    columns: dict[str, Callable[[Description], str]] = {
        "name": itemgetter("name"),
        "family": itemgetter("family"),
        **_COLUMNS.get(kind, {}),
        "parameters": lambda f: ", ".join(f"{k}={v}" for k, v in f["parameters"].items()),
        "what it is": lambda f: f["summary"] + _weights(f),
    }
    return [list(columns), *([cell(f) for cell in columns.values()] for f in found)]


def _values(about: Description) -> str:
    """What can be said of the values of an explainer's maps."""
    values = ["signed" if about["signed"] else "unsigned"]
    values += ["stochastic"] * about["stochastic"] + ["sees labels"] * about["sees_labels"]
    return ", ".join(values)


def _range(about: Description) -> str:
    low, high = about["range"]
    return f"{low:g} … {high:g}".replace("inf", "∞")


_COLUMNS: dict[str, dict[str, Callable[[Description], str]]] = {
    "metric": {"better": itemgetter("better"), "range": _range, "source": itemgetter("paper")},
    "explainer": {
        "values": _values,
        "source": itemgetter("paper"),
        "by": lambda f: f["library"] or f["distribution"].partition(" ")[0],
    },
}


def _weights(about: Description) -> str:
    """The size and the figures of a model's weights, in brackets."""
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


def _linked(about: Description) -> str:
    """The paper as Markdown: a link where the bibliography has its address."""
    return f"[{about['paper']}]({about['url']})" if about["url"] else about["paper"]


def _fit(line: str) -> str:
    """The line; on a terminal, cut to its width."""
    width = shutil.get_terminal_size().columns
    return f"{line[: width - 1]}…" if sys.stdout.isatty() and len(line) > width else line
