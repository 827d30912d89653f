"""``xaibench evaluate``: segmentation quality of a network."""

import argparse
import math
import textwrap

from xaibench.cli import options
from xaibench.cli.console import Console, table
from xaibench.cli.parser import Parser, number
from xaibench.errors import plural

SUMMARY = "Measure how well a network segments vessels."
PROTOCOL = (
    "Pixels inside the field of view, on the native grid, one pass, no averaging over flips; pooled figures are over "
    "the pixels of all images together, but clDice, which is the mean over images."
)


def configure(parser: Parser) -> None:
    """The options of the command."""
    options.add_data(parser)
    options.add_model(parser)
    text = "a pixel of this probability or more is vessel (default: .5)"
    parser.add_argument("--threshold", type=number(float, 0, 1), default=0.5, metavar="X", help=text)
    options.add_json(parser)


def execute(args: argparse.Namespace, console: Console) -> None:
    """Evaluate."""
    from xaibench.data.case_loader import load_cases
    from xaibench.models.evaluate import FIGURES, evaluate, predict
    from xaibench.models.model_loader import load_model
    from xaibench.models.weights_file import weights_digest
    from xaibench.running.resolve import default_model

    cases = load_cases(args.data, split=args.split, count=args.cases)
    name = options.model_argument(args.model) or default_model(cases.dataset)
    model = load_model(name)
    with console.bar(len(cases), "image") as bar:
        result = evaluate(lambda image: predict(model, image), bar.over(cases), args.threshold)
    if args.json:
        console.out_json(
            {
                "dataset": cases.dataset,
                "split": cases.split,
                "note": cases.note,
                "model": str(name),
                "weights_digest": weights_digest(model),
                "threshold": args.threshold,
                "protocol": PROTOCOL,
                "pooled": result.pooled,
                "per_image": result.per_image,
            }
        )
        return
    console.out(
        f"{cases.dataset} {cases.split} · {name} · {plural(len(cases), 'image')} · threshold {args.threshold:g}"
    )
    lines = [
        [who, *(_shown(v[f]) for f in FIGURES)] for who, v in {"pooled": result.pooled, **result.per_image}.items()
    ]
    console.out("\n" + table(["", *FIGURES], lines, left=1))
    console.out("\n" + textwrap.fill(PROTOCOL, 120))
    if cases.note:
        console.out(cases.note)


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"
