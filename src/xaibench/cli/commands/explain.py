"""``xaibench explain``: attribution maps of one fundus photograph without labels, as a figure."""

from __future__ import annotations

import argparse
import os
import re
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.output_path import writable
from xaibench.cli.parser import Parser, check_name, specs
from xaibench.cli.progress import Progress
from xaibench.disk import is_there, named, unwritable
from xaibench.errors import Skipped, UserError, plural
from xaibench.vocabulary import FIGURE_FORMATS as FORMATS

if TYPE_CHECKING:
    from torch import nn

    from xaibench.data.case import Case
    from xaibench.registry import Spec
    from xaibench.report.explained_figure import Panel
    from xaibench.scorer import Scorer

SUMMARY = "Explain one image, without labels."
EPILOG = """examples:
  xaibench explain photo.jpg --method gradcam --target thin
  xaibench explain photo.jpg --method 'lime[segments=200,samples=1000],gradcam' --out figure.pdf

Any fundus photograph will do: PNG, JPEG, TIFF, GIF, PPM and others, of 8 or 16 bits. One method is drawn over the
image; several stand beside it. Exit code: 0 all well, 1 a method failed and the others are drawn, 2 unusable input."""
_OTHER_SCALE = 2.0  # ratio to the training scale from which on a warning is printed


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
    add("--out", metavar="FILE", help=f"the figure to write: {', '.join(FORMATS[:4])} (default: IMAGE-METHOD.png)")
    options.add_seed_and_device(parser)
    options.add_force(parser)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Explain and draw; returns the exit code."""
    for name in args.method:
        check_name("explainer", name)
    path = named(args.image)
    out = _out(args, path)

    from xaibench import registry
    from xaibench.data.io.image import load_image
    from xaibench.explainers.explain import check_labels
    from xaibench.models.model_loader import load_model
    from xaibench.running.devices import chosen_device
    from xaibench.running.resolve import default_model

    chosen = list({str(s): s for s in (registry.parse("explainer", m) for m in args.method)}.values())
    case = load_image(path)
    for spec in chosen:
        check_labels(spec, case)
    device = chosen_device(args.device)
    network = options.model_argument(args.model) or default_model("photograph")
    name, model = str(network), load_model(network)
    writable(out, args.force)
    console.note(_seen(case))
    for line in _other_scale(case, name, model):
        console.note(line)
    scorer = _scorer(model, args.target, case, device, name)
    panels, failures = _explained(chosen, scorer, case, args.seed, console)
    _write(out, panels, scorer, case, _caption(case, args, name), args.target)
    console.out(f"Written to {out}.")
    return int(failures > 0)


def _out(args: argparse.Namespace, image: Path) -> Path:
    """The file to write.

    Raises:
        UserError: if the format is unknown, or the image itself would be replaced.
    """
    path = named(args.out) if args.out is not None else Path(f"{image.stem}-{_slug(args.method)}.png")
    if path.suffix[1:].lower() not in FORMATS:
        raise UserError(f"{path} does not end in {', '.join(f'.{f}' for f in FORMATS[:-1])} or .{FORMATS[-1]}.")
    if is_there(path) and is_there(image) and path.samefile(image):
        raise UserError(f"{path} is the image itself, which is never replaced.", "Give another --out.")
    return path


def _slug(methods: Sequence[str]) -> str:
    """The methods as part of a file name."""
    shown = [*methods[:3], f"{len(methods) - 3}-more"] if len(methods) > 3 else methods
    return re.sub(r"[^A-Za-z0-9._+]+", "-", "-".join(shown)).strip("-.")[:120]


def _seen(case: Case) -> str:
    """Size and field of view of the image, in one sentence."""
    height, width = case.fov.shape
    whole = bool(case.fov.all())
    seen = "no dark surround, so all of it is field of view" if whole else f"field of view {_across(case)} px across"
    return f"{case.id}: {width} × {height} px, {seen}."


def _across(case: Case) -> int:
    return int(max(case.fov.any(0).sum(), case.fov.any(1).sum()))


def _other_scale(case: Case, name: str, model: nn.Module) -> list[str]:
    """A warning where vessels are twice as wide or narrow, in pixels, as those of the training images."""
    card = getattr(model, "card", None)
    known = isinstance(card, dict) and str(card.get("dataset", "")) in ("drive", "phantom")
    if not known or 1 / _OTHER_SCALE <= case.scale <= _OTHER_SCALE:
        return []
    from xaibench.data.anatomy.caliber import DRIVE_FOV_DIAMETER

    return [
        f"{name} was trained on fields of view {DRIVE_FOV_DIAMETER:.0f} px across, this one has {_across(case)}: "
        "it may overlook vessels. Resized to that, the image may be explained better."
    ]


def _scorer(model: nn.Module, target_name: str, case: Case, device: str, name: str) -> Scorer:
    """The scorer of network and target.

    Raises:
        UserError: if the network predicts no such pixel in this image.
    """
    from xaibench.scorer import Scorer, target

    try:
        return Scorer(model, target(target_name, model, case), device=device)
    except Skipped as reason:
        what = "vessel" if target_name == "vessels" else f"{target_name} vessel"
        hint = "Is it a fundus photograph?" if target_name == "vessels" else "Try --target vessels."
        raise UserError(f"{name} finds no {what} in {case.id}, so there is nothing to explain.", hint) from reason


def _explained(
    chosen: Sequence[Spec], scorer: Scorer, case: Case, seed: int, console: Console
) -> tuple[list[Panel], int]:
    """The maps, and the number of methods that failed.

    Raises:
        UserError: if no method gives a map.
    """
    from xaibench.explainers.explain import explain
    from xaibench.report.explained_figure import Panel
    from xaibench.running.sandbox.memory import refuse_what_does_not_fit

    panels: list[Panel] = []
    reasons: list[str] = []
    with console.bar(len(chosen), "method") as bar:
        for spec in chosen:
            bar.now(str(spec))
            scorer.watch = _passes_shown(bar, str(spec))
            try:
                refuse_what_does_not_fit(spec, case, scorer, seed)
                map_ = explain(scorer, case.image, method=spec, seed=seed, case=case)
                panels.append(Panel(str(spec), map_.numpy(), spec.plugin.traits.signed))
            except UserError:
                raise
            except Exception as error:  # a plugin may fail in any way; the others are drawn
                skipped = isinstance(error, Skipped)
                first = str(error) if skipped else f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
                reasons.append(f"{spec} {'cannot work here' if skipped else 'failed'}: {first.rstrip('.')}.")
                if console.verbose and not skipped:
                    console.warn(traceback.format_exc())
                if len(chosen) == 1 and not skipped:
                    raise
            bar.update()
    if not panels:
        raise UserError(" ".join(reasons), "`xaibench list explainers` shows others.")
    for reason in reasons:
        console.warn(f"xaibench: {reason}")
    return panels, len(reasons)


def _passes_shown(bar: Progress, name: str) -> Callable[[int], None]:
    """A callback that shows the passes of a method in the bar."""
    passes = 0

    def passed(pictures: int) -> None:
        nonlocal passes
        passes += pictures
        bar.now(name, plural(passes, "pass", "es"))

    return passed


def _caption(case: Case, args: argparse.Namespace, name: str) -> str:
    return f"{case.id}, model {name}, seed {args.seed}, xaibench {version('xaibench')}."


def _write(out: Path, panels: list[Panel], scorer: Scorer, case: Case, caption: str, target_name: str) -> None:
    """Draw the figure and write it atomically.

    Raises:
        UserError: if it cannot be written.
    """
    from xaibench.report.explained_figure import Explained, draw, save
    from xaibench.scorer.target import THRESHOLD

    found = ((scorer.target.prediction >= THRESHOLD) & case.fov).numpy()
    pixels = (case.image * 255).round().byte().permute(1, 2, 0).numpy()
    what = "vessels" if target_name == "vessels" else f"{target_name} vessels"
    explained = Explained(pixels, case.fov.numpy(), found, scorer.target.mask.numpy(), what)
    figure = draw(explained, panels, caption)
    half = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    about: dict[str, Any] = {"title": f"{', '.join(p.name for p in panels)} of {what}", "description": caption}
    try:
        save(figure, half, about)
        half.replace(out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        half.unlink(missing_ok=True)
