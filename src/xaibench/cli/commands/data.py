"""``xaibench data check`` and ``xaibench data phantom``."""

import argparse
from pathlib import Path

from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.parser import SEED, Parser, number
from xaibench.disk import is_there
from xaibench.errors import UserError, one_line, plural

CHECK = "Report the contents of a data folder and its problems."
PHANTOM = "Draw synthetic fundus images with known vessels."
MOST = 100_000  # phantoms of one command
SIDES = (128, 8192)  # px, as those who draw them have them, whom it would take long to ask


def configure_check(parser: Parser) -> None:
    """The options of ``data check``."""
    text = "DRIVE, CHASE_DB1, STARE, HRF, or a folder or zip of images and masks"
    parser.add_argument("folder", metavar="FOLDER", help=text)


def execute_check(args: argparse.Namespace, console: Console) -> int:
    """Say what is there and what is wrong; returns the exit code."""
    from xaibench.data.folder_check import check_folder

    report = check_folder(args.folder)
    for line in report.facts:
        console.out(one_line(line))
    for line in report.problems:
        console.out(one_line(f"problem: {line}"))
    if report.problems:
        console.warn(f"xaibench: {args.folder} has {plural(len(report.problems), 'problem')}. Mend and check again.")
        return 2
    console.note(f"Nothing is wrong. Use it with --data {args.folder}")
    return 0


def configure_phantom(parser: Parser) -> None:
    """The options of ``data phantom``."""
    add = parser.add_argument
    options.add_out(parser, "FOLDER", "gets images/, masks/ and fov/", required=True)
    add("--count", type=number(int, 1, MOST), default=20, metavar="N", help="how many (default: 20)")
    add("--seed", type=SEED, default=0, metavar="N", help="of the first, the next has one more (default: 0)")
    text = "side of a square picture (default: 565 × 584 as DRIVE)"
    add("--size", type=number(int, *SIDES), metavar="PX", help=text)
    options.add_force(parser, "replace files that are there")


def execute_phantom(args: argparse.Namespace, console: Console) -> None:
    """Draw and save."""
    from xaibench.data.phantom import FULL_SIZE, phantom_id
    from xaibench.data.phantom.draw import draw_phantom, save_phantom

    out: Path = args.out
    seeds = range(args.seed, args.seed + args.count)
    there = [p for seed in seeds if is_there(p := out / "images" / f"{phantom_id(seed)}.png")]
    if there and not args.force:
        raise UserError(f"{there[0]} exists already.", "Give another --out or --seed, or --force to replace it.")
    with console.bar(args.count, "image") as bar:
        for seed in bar.over(seeds):
            save_phantom(draw_phantom(seed, (args.size, args.size) if args.size else FULL_SIZE), out)
    console.out(f"{plural(args.count, 'phantom')} in {out}. Use with --data {out}")
