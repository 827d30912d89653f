"""``xaibench claims``: verdicts on the founding paper's claims from finished runs; imports no torch."""

import argparse

from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.parser import Parser, one_of
from xaibench.vocabulary import CLAIM_FORMATS as FORMATS

SUMMARY = "Judge the founding paper's claims."
EPILOG = """example:
  xaibench claims runs/drive --format markdown

A claim is supported, not supported, undecided, or not measured; then the command that would measure it is shown."""


def configure(parser: Parser) -> None:
    """The options of the command."""
    add = parser.add_argument
    options.add_runs(parser)
    add("--format", type=one_of(*FORMATS), default="table", metavar="|".join(FORMATS), help="table by default")


def execute(args: argparse.Namespace, console: Console) -> None:
    """Print the verdicts."""
    from xaibench.leaderboard.claims.judge import read_claims
    from xaibench.leaderboard.comparable import open_comparable
    from xaibench.leaderboard.tables.claims_table import render_claims

    claims = read_claims(open_comparable(args.runs), report=console.left_out)
    console.out(render_claims(claims, args.format))
