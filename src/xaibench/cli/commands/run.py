"""``xaibench run``: compute maps and scores, and show the leaderboard."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
from collections import Counter
from dataclasses import asdict, fields
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from xaibench.cli import options
from xaibench.cli.console import Console
from xaibench.cli.interrupt import Stop
from xaibench.cli.parser import Parser, check_name
from xaibench.errors import UserError, plural
from xaibench.vocabulary import PRECISIONS, SUITES

if TYPE_CHECKING:
    from pathlib import Path

    from xaibench.leaderboard.run_results import Loss
    from xaibench.running.events import Event, Step
    from xaibench.running.resolve import Run

SUMMARY = "Compute maps, scores and a leaderboard."
EPILOG = """examples:
  xaibench run --suite quick
  xaibench run --method gradcam 'gradcam[layer=decoder-1/2]' --data phantom --cases 5 --out runs/first

The same command again computes only what is missing. Exit code: 0 all well, 1 some cells failed and the rest is kept,
2 unusable input, 130 interrupted."""
_WHAT = attrgetter("dataset", "split", "model", "weights_digest", "target")  # of a record, a leaderboard or a setting


def configure(parser: Parser) -> None:
    """The options of the command."""
    add = parser.add_argument
    options.add_methods(parser, "explainers (see `xaibench list explainers`); controls are always added")
    options.add_choice(parser, "--suite", SUITES, "which methods, metrics and images are run")
    options.add_data(parser, required=False)
    options.add_model(parser)
    options.add_target(parser)
    options.add_methods(parser, "metrics (default: those of the suite)", name="--metric")
    options.add_out(parser, "FOLDER", "the run's folder; below runs/ by default")
    options.add_seed_and_device(parser)
    how = "of the network; bf16 is faster on some processors and counts as another network"
    options.add_choice(parser, "--precision", PRECISIONS, how)
    options.add_computing(parser)
    options.add_force(parser, "compute also what is there already")
    add("--dry-run", action="store_true", help="say what would be computed; compute and write nothing")
    add("--fail-fast", action="store_true", help="end with the first failure")
    options.add_json(parser)


def execute(args: argparse.Namespace, console: Console) -> int:
    """Run, or say what would be run; returns the exit code."""
    methods, metrics = (list(chain.from_iterable(given)) for given in (args.method, args.metric))
    for name in methods:
        check_name("explainer", name)
    for name in metrics:
        check_name("metric", name)

    from xaibench.running.request import Request
    from xaibench.running.resolve import resolve

    given = {field.name: getattr(args, field.name) for field in fields(Request) if field.name in args}
    model = options.model_argument(args.model)
    run = resolve(Request(**given | {"methods": methods, "metrics": metrics, "model": model}))
    run.store.report = lambda path, reason: console.warn(f"{path} is damaged and counts as missing: {reason}.")
    say = console.note if args.json else console.out
    for line in filter(None, (run.why, run.cases.note)):
        say(line)
    for line in run.cautions():
        console.warn(f"xaibench: {line}")
    if args.dry_run:
        return _dry(run, args, console)
    with run.store.locked(console.warn):
        return _compute(run, args, console)


def _size(run: Run) -> str:
    methods, cases, metrics = len(run.methods), len(run.cases), len(run.setting.metrics)
    return (
        f"{plural(methods * cases, 'cell')}: {plural(methods, 'method')} on {plural(cases, 'image')}, "
        f"{plural(metrics, 'metric')}, model {run.setting.model}, target {run.setting.target}"
    )


def _dry(run: Run, args: argparse.Namespace, console: Console) -> int:
    remaining = run.remaining()
    methods, metrics = ([str(s) for s in specs] for specs in (run.methods, run.setting.metrics))
    if args.json:
        about = {"data": run.why, "note": run.cases.note, "run": str(run.store.root)}
        console.out_json(about | remaining | {"methods": methods, "metrics": metrics, "cases": run.cases.ids})
        return 0
    console.out(f"{_size(run)}.")
    console.out(
        f"{remaining['kept']} kept, {remaining['scores']} with scores to compute, "
        f"{remaining['maps']} with map and scores to compute."
    )
    for title, names in (("methods", methods), ("metrics", metrics), ("images", run.cases.ids)):
        console.out(f"{title}: {', '.join(names)}")
    console.out(f"folder: {run.store.root} (nothing was written)")
    return 0


def _compute(run: Run, args: argparse.Namespace, console: Console) -> int:
    from xaibench.leaderboard.aggregate import read_leaderboards
    from xaibench.leaderboard.summary.sentences import summarise
    from xaibench.leaderboard.tables.render import render, write_leaderboard
    from xaibench.running.dask.workers import ClusterLost
    from xaibench.running.events import Listener
    from xaibench.running.run import compute

    root = run.store.root
    console.note(f"{_size(run)}, device {run.options.device}, folder {root}.")
    watch = _Watch(console, len(run.cases) * len(run.methods))
    with watch.stop.listening():
        try:
            with watch.bar:
                failures = compute(run, console.command, Listener(watch, watch.step, console.note))
            watch.stop.check()
        except KeyboardInterrupt:
            # The table of the finished cells, unless there are none or Ctrl-C was pressed twice.
            with contextlib.suppress(UserError, KeyboardInterrupt):
                if watch.stop.presses < 2:
                    write_leaderboard(run.store, read_leaderboards([run.store], seed=args.seed))
            console.warn(f"xaibench: Interrupted after {watch.resumable(root)}")
            return 130
        except ClusterLost as gone:
            console.warn(f"xaibench: {gone.message} It was after {watch.resumable(root)}")
            return 1
    found = read_leaderboards([run.store], seed=args.seed, report=run.store.damaged)
    paths = write_leaderboard(run.store, found)
    # A folder can hold the results of several commands.
    boards = [b for b in found if _WHAT(b) == _WHAT(run.setting)]
    lost = _lost(run)
    counts = {status: watch.statuses[status] for status in ("ok", "kept", "skipped", "failed")}
    summary = [line for board in boards for line in summarise(board)]
    if args.json:
        console.out_json(
            {
                "run": str(root),
                "data": run.why,
                "note": run.cases.note,
                "cells": counts,
                "lost": [asdict(loss) for loss in lost],
                "leaderboard": json.loads(render(boards, "json")),
                "summary": summary,
            }
        )
    else:
        console.note(
            f"Cells: {counts['ok']} computed, {counts['kept']} kept, "
            f"{counts['skipped']} skipped, {counts['failed']} failed."
        )
        for loss in lost:
            console.note(f"{loss.status.capitalize()}, {loss.count} ×: {loss.reason} ({', '.join(loss.what)}).")
        console.out(f"\n{render(boards, faint=console.dims)}\n")
        files = ", ".join(["scores.csv", *(p.name for p in paths)])
        console.out(f"Kept in {root}: {files}, maps and records.\n")
        console.out("\n".join(summary))
    if failures:
        console.warn(f"xaibench: {plural(failures, 'cell')} failed. The same command computes only these again.")
    return int(bool(failures))


class _Watch:
    """Shows events as a progress bar and lines on failures, and counts them."""

    def __init__(self, console: Console, total: int) -> None:
        self.statuses: Counter[str] = Counter()
        self.bar = console.bar(total, "cell")
        self.stop = Stop(lambda: self._now)
        self._now = "what is being done"
        self._console = console

    def __call__(self, event: Event) -> None:
        self.statuses[event.status] += 1
        self.bar.update(free=event.status == "kept")
        if event.status == "failed":
            self._console.warn(f"{event.cell} failed: {event.reason}")
            if self._console.verbose and event.trace:
                self._console.warn(event.trace)
        self.stop.check()

    def step(self, step: Step) -> None:
        """Show the current part of a cell."""
        self._now = step.cell
        details = [] if step.part == "map" else [step.part]
        self.bar.passes(step.cell, step.passes, *details)

    def resumable(self, root: Path) -> str:
        """How far the run in a folder got, and the command that resumes it."""
        # --force would compute finished cells again.
        words = [word for word in shlex.split(self._console.command) if word != "--force"]
        kept = f", which are kept in {root}" if self.bar.done else ""
        return f"{self.bar.done} of {self.bar.total} cells{kept}. Resume with: {shlex.join(words)}"


def _lost(run: Run) -> list[Loss]:
    """The requested scores that are missing, by distinct reason."""
    from xaibench.leaderboard.run_results import losses

    asked = {str(m) for m in run.setting.metrics}
    specs, ids, seed = {str(m) for m in run.methods}, set(run.cases.ids), run.setting.seed
    mine = (r for r in run.store.stream() if _WHAT(r) == _WHAT(run.setting) and r.seed == seed)
    return losses((r for r in mine if r.spec in specs and r.case in ids), asked.__contains__)
