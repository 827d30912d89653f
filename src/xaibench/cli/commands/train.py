"""``xaibench train``: train a network; writes a weights file with a card."""

from __future__ import annotations

import argparse
import inspect
import re
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaibench.cli import options
from xaibench.cli.console import Console, plain
from xaibench.cli.output_path import names_folder, writable
from xaibench.cli.parser import Parser, number
from xaibench.errors import UserError, plural
from xaibench.registry import dataset_traits

if TYPE_CHECKING:
    from xaibench.data.cases import Cases
    from xaibench.models.train import Recipe

SUMMARY = "Train a network on your data."
_AT_LEAST_ONE = ("steps", "batch", "crop", "validate_every")


def configure(parser: Parser) -> None:
    """The options of the command; those of the recipe are read off its fields."""
    from xaibench.models.networks.architectures import NETWORKS
    from xaibench.models.train import Recipe

    add = parser.add_argument
    options.add_data(parser, split="train")
    options.add_out(parser, "WEIGHTS.safetensors", "the file to write", required=True)
    options.add_force(parser)
    options.add_choice(parser, "--network", tuple(NETWORKS), "the architecture")
    words = _field_words(Recipe)
    for field in fields(Recipe):
        kind = int if isinstance(field.default, int) else float
        most = {"average": 1.0, "seed": 2**63 - 1}
        convert = number(kind, 1 if field.name in _AT_LEAST_ONE else 0, most.get(field.name, 2**31 - 1))
        text = f"{words.get(field.name, '')} (default: {field.default})".replace("%", "%%")
        option = f"--{field.name.replace('_', '-')}"
        add(option, type=convert, default=field.default, metavar="N" if kind is int else "X", help=text)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Train and save; returns the exit code."""
    out: Path = args.out
    if out.suffix != ".safetensors" and not names_folder(out):
        raise UserError(f"{out} does not end in .safetensors.", f"Give --out {out.with_suffix('.safetensors')}.")
    writable(out, args.force)

    from xaibench.data.case_loader import load_cases
    from xaibench.models.train import Recipe, train
    from xaibench.models.weights_file import save_weights

    recipe = Recipe(**{f.name: getattr(args, f.name) for f in fields(Recipe)})
    cases = load_cases(args.data, split=args.split, count=args.cases)
    console.note(f"Data: {plural(len(cases), 'image')} of {cases.dataset} {cases.split}. {cases.note}".rstrip())
    if len(cases) < recipe.holdout or not recipe.holdout:
        console.note("No image is held out: validation figures are of images that are trained on.")
    validated = ""
    with console.bar(recipe.steps, "step") as bar:

        def progress(step: int, loss: float, figures: dict[str, float] | None) -> None:
            nonlocal validated
            if figures is not None:
                validated = f", ap {figures['ap']:.3f}"
                console.note(f"step {step}: loss {loss:.4f}, {_shown(figures)}")
            bar.now(f"loss {loss:.4f}{validated}")
            bar.update(step - bar.done)

        model, facts = train(cases, recipe, network=args.network, progress=progress)
    save_weights(model, out, _card(facts, cases))
    best, done = facts["validation"], facts["steps_done"]
    console.out(f"Weights of step {best.get('step', done)} of {done}: {_shown(best)}\nWritten to {out}.")
    if done < recipe.steps:
        again = console.command if args.force else f"{console.command} --force"
        console.warn(
            f"xaibench: Interrupted after {done} of {recipe.steps} steps; the best weights so far are in {out}. "
            f"Train anew, to the end, with: {again}"
        )
        return 130
    return 0


def _card(facts: dict[str, Any], cases: Cases) -> dict[str, Any]:
    about = facts | {
        "dataset": cases.dataset,
        "split": cases.split,
        "images": list(cases.ids),
        "note": cases.note,
        "terms": dataset_traits(cases.dataset).terms,
        "xaibench": version("xaibench"),
        "date": datetime.now(UTC).date().isoformat(),
    }
    return {k: plain(v) for k, v in about.items()}


def _shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{k} {v:.4f}" for k, v in figures.items() if k != "step")


def _field_words(recipe: type[Recipe]) -> dict[str, str]:
    """The docstring's description of each field, without line breaks."""
    text = re.sub(r"\n {8,}", " ", inspect.getdoc(recipe) or "")
    return {m[1]: m[2].rstrip(".") for m in re.finditer(r"^ {4}(\w+): (.+)$", text, re.MULTILINE)}
