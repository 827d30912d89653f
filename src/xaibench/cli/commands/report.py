"""``xaibench report``: a run as one self-contained HTML page."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.output_path import writable
from xaibench.cli.parser import Parser
from xaibench.disk import is_folder, is_there
from xaibench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xaibench.leaderboard.run_results import Result
    from xaibench.record import Store

SUMMARY = "Write a run as one page with figures."
MARK = b"xaibench report</title>"
EPILOG = """example:
  xaibench report runs/drive --out drive.html

One file that needs no network and no server. It holds pictures of the images: mind the terms of your data."""


def configure(parser: Parser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a run")
    options.add_out(parser, "FILE", "where to write it (default: report.html in the run's folder)")
    add("--no-films", action="store_true", help="no step-by-step pictures of removal, which need the data and network")
    options.add_model(parser, "the one that the run names, unless that is code; for the films")
    options.add_force(parser, "replace a file that is no report, too")


def execute(args: argparse.Namespace, console: Console) -> None:
    """Write the report and say where it is."""
    store = _open(args.run)
    out: Path = args.out or store.root / "report.html"
    writable(out, force=args.force or _is_report(out))

    from xaibench.leaderboard.claims.judge import claims_on
    from xaibench.leaderboard.run_results import read_results
    from xaibench.record import write_text
    from xaibench.report.html.page import render

    damaged: list[tuple[str, str]] = []

    def leave_out(path: Path, reason: str) -> None:
        damaged.append((path.name, reason))
        console.left_out(path, reason)

    store.report = leave_out  # of maps, which are read when the page is made
    results = read_results([store], report=leave_out)
    claims = claims_on([store], [r.board for r in results])
    why = "they were not asked for (--no-films)." if args.no_films else _films(store, results, args.model, console)
    page = render(store, results, claims, damaged, why, console.command)
    write_text(out, page)
    console.out(f"{out} ({len(page.encode()) / 1e6:.1f} MB)")


def _open(folder: str) -> Store:
    """The run; for a folder without a run, the error names the nearest run."""
    from xaibench.record import Store

    try:
        return Store.open(folder)
    except UserError as error:
        path = Path(folder)
        beside = path if is_there(path) else path.parent
        runs = sorted(p.parent.name for p in beside.glob("*/run.json")) if is_folder(beside) else []
        near = runs[:3] if is_there(path) else difflib.get_close_matches(path.name, runs, n=1)
        hint = f"Did you mean {' or '.join(str(beside / n) for n in near)}?" if near else error.hint
        raise UserError(error.message, hint) from error


def _is_report(path: Path) -> bool:
    """Whether the file is a report; only reports are replaced without ``--force``."""
    try:
        with path.open("rb") as file:
            return MARK in file.read(1000)
    except OSError:
        return False


def _films(store: Store, results: Sequence[Result], model: str | None, console: Console) -> str:
    """Make the missing films; returns why some cannot be made, or ""."""
    from xaibench.report.sections.removal_frames import FILL, STEPS, missing_films
    from xaibench.report.selection import chosen_cases, film_methods

    wanted = [
        record
        for r in results
        for chosen in chosen_cases(r.board)
        for method in film_methods(r.board)
        if (record := r.record(method, chosen.case)) is not None and record.status == "ok"
    ]
    if not missing_films(store, wanted):
        return ""  # and no network library is loaded

    from xaibench.running.artefacts.removal_frames import make_films

    console.note("Looking up data and network for the step-by-step pictures of removal (--no-films leaves them out) …")
    with console.bar(len(wanted), "film") as bar:

        def seen(film: str, kept: bool) -> None:
            bar.now(film)
            bar.update(free=kept)

        network = options.model_argument(model)
        reasons = make_films(store, wanted, fill=FILL, steps=STEPS, network=network, report=seen)
    for reason in reasons:
        console.warn(f"Without some step-by-step pictures: {reason}")
    return " ".join(reasons)
