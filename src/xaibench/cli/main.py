"""The command ``xaibench``: find the command that was meant, run it, and turn what goes wrong into words and a code."""

from __future__ import annotations

import os
import re
import shlex
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from xaibench.cli.commands import (
    check,
    claims,
    data,
    doctor,
    evaluate,
    explain,
    leaderboard,
    listing,
    publish,
    report,
    run,
    train,
)
from xaibench.cli.console import Console, silence
from xaibench.cli.new import command as new
from xaibench.cli.parser import Parser
from xaibench.errors import UserError, did_you_mean

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Command(NamedTuple):
    """A command: what it does in one line, its options, and what runs."""

    summary: str
    configure: Callable[[Parser], None]
    execute: Callable[..., int]
    epilog: str = ""


COMMANDS = {
    "run": Command("Compute maps, scores and a leaderboard.", run.configure, run.execute, run.EPILOG),
    "list": Command("List explainers, metrics, datasets or models.", listing.configure, listing.execute),
    "leaderboard": Command("Show the leaderboard of finished runs.", leaderboard.configure, leaderboard.execute),
    "claims": Command("Judge the founding paper's claims.", claims.configure, claims.execute, claims.EPILOG),
    "explain": Command("Explain one image, without labels.", explain.configure, explain.execute, explain.EPILOG),
    "report": Command("Write a run as one page with figures.", report.configure, report.execute, report.EPILOG),
    "publish": Command(
        "Write what may be passed on of a run: numbers, no pictures.",
        publish.configure,
        publish.execute,
        publish.EPILOG,
    ),
    "train": Command("Train a network on your data.", train.configure, train.execute),
    "evaluate": Command("Measure how well a network segments vessels.", evaluate.configure, evaluate.execute),
    "data check": Command(
        "Say what is in a data folder and what is wrong with it.", data.configure_check, data.execute_check
    ),
    "data phantom": Command(
        "Draw synthetic fundus images with known vessels.", data.configure_phantom, data.execute_phantom
    ),
    "new explainer": Command(
        "Write a package to begin a method of your own with.",
        partial(new.configure, "explainer"),
        partial(new.execute, "explainer"),
        new.epilog("explainer"),
    ),
    "new metric": Command(
        "Write a package to begin a metric of your own with.",
        partial(new.configure, "metric"),
        partial(new.execute, "metric"),
        new.epilog("metric"),
    ),
    "check": Command(
        "Hold an explainer or metric against the conformance checks.", check.configure, check.execute, check.EPILOG
    ),
    "doctor": Command("Check this installation, with a self-test.", doctor.configure, doctor.execute),
}
DESCRIPTION = "Which explanation method can be trusted on a vessel-segmentation network, and on which vessels?"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: what was typed after ``xaibench``; the process's own arguments if None.

    Returns:
        0: all well; 1: something failed and the rest is kept; 2: usage, an unknown name or unusable input; 3: a
        plugin does not conform; 130: interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever began the process: what goes there goes nowhere
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as it lives
    # Read off before parsing, so that it holds whatever goes wrong.
    console = Console(_flag(argv, "q", "--quiet"), _flag(argv, "v", "--verbose"), shlex.join(["xaibench", *argv]))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show × or ─ shows ? instead
    code = OK
    try:
        code = _dispatch(argv, console)
    except SystemExit as end:  # argparse after --help
        code = end.code if isinstance(end.code, int) else OK
    except UserError as error:
        code = _complain(str(error), console, USAGE)
    except KeyboardInterrupt:
        code = _complain(f"Interrupted. Begin again with: {console.command}", console, INTERRUPTED)
    except BrokenPipeError:  # of stderr
        silence(sys.stderr)
    except Exception as error:  # a plugin or a model of the user's may fail in any way at all
        first = (str(error).splitlines() or [""])[0].rstrip(".")
        hint = "" if console.verbose else " Add -v for the traceback."
        notes = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
        code = _complain(f"{type(error).__name__}: {first}.{notes}{hint}", console, FAILED)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    return code


def _dispatch(argv: list[str], console: Console) -> int:
    if not argv:
        print(_overview(), file=sys.stderr)
        return USAGE
    if argv[0] in ("-h", "--help"):
        console.out(_overview())
        return OK
    if argv[0] in ("-V", "--version"):
        console.out(f"xaibench {version('xaibench')}")
        return OK
    words = 2 if argv[0] in {n.split()[0] for n in COMMANDS if " " in n} else 1
    name = " ".join(argv[:words])
    if name not in COMMANDS:
        return _unknown(argv, console)
    command = COMMANDS[name]
    parser = Parser(f"xaibench {name}", command.summary, command.epilog)
    command.configure(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    args = parser.parse(argv[words:])
    return command.execute(args, console)


def _unknown(argv: list[str], console: Console) -> int:
    inner = [n for n in COMMANDS if n.startswith(f"{argv[0]} ")]
    if inner and (len(argv) == 1 or argv[1] in ("-h", "--help")):
        console.out("\n".join(f"xaibench {n:14} {COMMANDS[n].summary}" for n in inner))
        return OK if len(argv) > 1 else USAGE
    name = " ".join(argv[:2]) if inner else argv[0]
    what = "option" if name.startswith("-") else "command"
    known = (
        ["--help", "--version"] if what == "option" else inner or list(dict.fromkeys(n.split()[0] for n in COMMANDS))
    )
    raise UserError(f"There is no {what} {name!r}.", did_you_mean(name, known, "`xaibench --help` shows the commands."))


def _overview() -> str:
    lines = [f"  {name:14} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: xaibench COMMAND [OPTIONS]",
            "",
            *textwrap.wrap(DESCRIPTION, 100),
            "",
            "commands:",
            *lines,
            "",
            "`xaibench COMMAND --help` shows the options of a command, `xaibench --version` the version.",
            "Begin with `xaibench doctor`, then `xaibench run --suite quick`.",
        ]
    )


def _flag(argv: list[str], letter: str, word: str) -> bool:
    return word in argv or any(re.fullmatch(r"-[qv]+", a) and letter in a for a in argv)


def _complain(text: str, console: Console, code: int) -> int:
    if console.verbose and code != INTERRUPTED:
        traceback.print_exc()
    console.warn(f"xaibench: {text}")
    return code
