"""``xaibench publish``: the numbers of a run, without images or maps, in a folder of their own."""

import argparse
from pathlib import Path

from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.parser import Parser
from xaibench.disk import is_there, writing
from xaibench.errors import UserError, plural

SUMMARY = "Write what may be passed on of a run: numbers, no images."
EPILOG = (
    "The folder gets the tables and all records, compressed: no map, no picture, no outline. `xaibench leaderboard` "
    "reads it as it reads a run, alone or beside others."
)


def configure(parser: Parser) -> None:
    """The options of the command."""
    parser.add_argument("run", metavar="RUN", help="folder of a run")
    options.add_out(parser, "FOLDER", "the folder to write to", required=True)


def execute(args: argparse.Namespace, console: Console) -> None:
    """Write the folder."""
    from xaibench.record import Store
    from xaibench.record.published import publish

    store = Store.open(args.run)
    out: Path = args.out
    if is_there(out / "cells") or out.resolve() == store.root.resolve():
        raise UserError(f"{out} is the folder of a run.", "Give --out another folder.")
    if store.published:
        raise UserError(f"{args.run} is published already.", "Copy the folder, or name the run that it is of.")
    records, damaged = store.scan()
    for path, reason in damaged:
        console.left_out(path, reason)
    if not records:
        raise UserError(f"{args.run} holds no record yet.", "Give the command it was started with again.")
    with writing(out):
        files = publish(store.root, records, out)
    size = sum(file.stat().st_size for file in files)
    console.out(
        f"{plural(len(records), 'record')} and {plural(len(files) - 1, 'table')} in {out}, {size / 1e6:.1f} MB."
    )
