"""``xaibench leaderboard``: the table of finished runs; imports no torch."""

import argparse

from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.parser import Parser, one_of
from xaibench.vocabulary import TABLE_FORMATS as FORMATS

SUMMARY = "Show the leaderboard of finished runs."


def configure(parser: Parser) -> None:
    """The options of the command."""
    add = parser.add_argument
    options.add_runs(parser)
    add("--target", help="only this one, such as thin")
    add("--format", type=one_of(*FORMATS), default="table", metavar="|".join(FORMATS), help="table by default")
    add("--wide", action="store_true", help="every column; csv and json always have them")
    add("--metrics", action="store_true", help="the quality of the metrics instead of the methods")


def execute(args: argparse.Namespace, console: Console) -> None:
    """Print the leaderboards."""
    from xaibench.leaderboard.aggregate import read_leaderboards
    from xaibench.leaderboard.comparable import open_comparable
    from xaibench.leaderboard.tables.metric_quality_table import render_metrics
    from xaibench.leaderboard.tables.render import render

    boards = read_leaderboards(open_comparable(args.runs), target=args.target, report=console.left_out)
    if args.metrics:
        console.out(render_metrics(boards, args.format, faint=console.dims))
    else:
        console.out(render(boards, args.format, wide=args.wide, faint=console.dims))
