"""``xaibench explain``: attribution maps of one fundus photograph without labels, as a figure."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.output_path import writable
from xaibench.cli.parser import Parser, check_name, specs
from xaibench.disk import is_there, named
from xaibench.errors import UserError
from xaibench.vocabulary import FIGURE_FORMATS as FORMATS

if TYPE_CHECKING:
    from xaibench.report.explained_figure import Panel
    from xaibench.running.explain_image import ImageRun

SUMMARY = "Explain one image, without labels."
EPILOG = """examples:
  xaibench explain photo.jpg --method gradcam --target thin
  xaibench explain photo.jpg --method 'lime[segments=200,samples=1000],gradcam' --out figure.pdf

Any fundus photograph will do: PNG, JPEG, TIFF, GIF, PPM and others, of 8 or 16 bits. One method is drawn over the
image; several stand beside it. Exit code: 0 all well, 1 a method failed and the others are drawn, 2 unusable input."""


def configure(parser: Parser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("image", metavar="IMAGE", help="a fundus photograph")
    add(
        "--method",
        type=specs,
        action="extend",
        required=True,
        metavar="NAME[KEY=VALUE,…],…",
        help="explainers, separated by commas (see `xaibench list explainers`)",
    )
    options.add_target(parser, shown="vessels|thin|thick")
    options.add_model(parser, "unet-drive")
    figure = f"the figure to write: {', '.join(FORMATS[:4])} (default: IMAGE-METHOD.png)"
    options.add_out(parser, "FILE", figure)
    options.add_seed_and_device(parser)
    options.add_force(parser)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Explain and draw; returns the exit code."""
    for name in args.method:
        check_name("explainer", name)
    path = named(args.image)
    out = _out(args, path)

    from xaibench.report.explained_figure import Explained, draw, save
    from xaibench.running.explain_image import resolve_image

    model = options.model_argument(args.model)
    run = resolve_image(path, args.method, target=args.target, model=model, device=args.device)
    writable(out, args.force)
    for line in run.notes():
        console.note(line)
    target, case = run.scorer.target, run.case
    panels, failures = _panels(run, args.seed, console)
    pixels = (case.image * 255).round().byte().permute(1, 2, 0).numpy()
    what = "vessels" if args.target == "vessels" else f"{args.target} vessels"
    explained = Explained(pixels, case.fov.numpy(), run.predicted, target.mask.numpy(), what)
    caption = f"{case.id}, model {run.name}, seed {args.seed}, xaibench {version('xaibench')}."
    title = f"{', '.join(panel.name for panel in panels)} of {what}"
    save(draw(explained, panels, caption), out, {"title": title, "description": caption})
    console.out(f"Written to {out}.")
    return int(failures > 0)


def _out(args: argparse.Namespace, image: Path) -> Path:
    """The file to write.

    Raises:
        UserError: if the format is unknown, or the image itself would be replaced.
    """
    path: Path = args.out or Path(f"{image.stem}-{_slug(args.method)}.png")
    if path.suffix[1:].lower() not in FORMATS:
        raise UserError(f"{path} does not end in {', '.join(f'.{f}' for f in FORMATS[:-1])} or .{FORMATS[-1]}.")
    if is_there(path) and is_there(image) and path.samefile(image):
        raise UserError(f"{path} is the image itself, which is never replaced.", "Give another --out.")
    return path


def _slug(methods: Sequence[str]) -> str:
    """The methods as part of a file name."""
    shown = [*methods[:3], f"{len(methods) - 3}-more"] if len(methods) > 3 else methods
    return re.sub(r"[^A-Za-z0-9._+]+", "-", "-".join(shown)).strip("-.")[:120]


def _panels(run: ImageRun, seed: int, console: Console) -> tuple[list[Panel], int]:
    """The maps, and the number of methods without one.

    Raises:
        UserError: if no method gives a map.
    """
    from xaibench.report.explained_figure import Panel

    panels: list[Panel] = []
    reasons: list[str] = []
    with console.bar(len(run.methods), "method") as bar:
        for spec in bar.over(run.methods):
            outcome = run.explain(spec, seed, bar.passes)
            if outcome.attribution is not None:
                panels.append(Panel(str(spec), outcome.attribution, spec.plugin.traits.signed))
                continue
            reasons.append(outcome.reason)
            if console.verbose and outcome.trace:
                console.warn(outcome.trace)
    if not panels:
        raise UserError(" ".join(reasons), "`xaibench list explainers` shows others.")
    for reason in reasons:
        console.warn(f"xaibench: {reason}")
    return panels, len(reasons)
