"""The command ``xaibench``: dispatch to a command; errors become one sentence and an exit code."""

import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
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
from xaibench.cli.console import Console, outliving_reader
from xaibench.cli.new import command as new
from xaibench.cli.parser import Parser
from xaibench.errors import UserError, did_you_mean

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Command(NamedTuple):
    """A command: its summary in one line, its options, the function that runs it, and the end of its help.

    The function returns the exit code; None is success.
    """

    summary: str
    configure: Callable[[Parser], None]
    execute: Callable[..., int | None]
    epilog: str = ""


def _command(module: ModuleType) -> Command:
    return Command(module.SUMMARY, module.configure, module.execute, getattr(module, "EPILOG", ""))


def _new(kind: str) -> Command:
    configure, execute = partial(new.configure, kind), partial(new.execute, kind)
    return Command(new.SUMMARY.format(kind=kind), configure, execute, new.EPILOG.format(kind=kind))


COMMANDS = {
    "run": _command(run),
    "list": _command(listing),
    "leaderboard": _command(leaderboard),
    "claims": _command(claims),
    "explain": _command(explain),
    "report": _command(report),
    "publish": _command(publish),
    "train": _command(train),
    "evaluate": _command(evaluate),
    "data check": Command(data.CHECK, data.configure_check, data.execute_check),
    "data phantom": Command(data.PHANTOM, data.configure_phantom, data.execute_phantom),
    "new explainer": _new("explainer"),
    "new metric": _new("metric"),
    "check": _command(check),
    "doctor": _command(doctor),
}
OVERVIEW = """usage: xaibench COMMAND [OPTIONS]

Which explanation method can be trusted on a vessel-segmentation network, and on which vessels?

commands:
{commands}

`xaibench COMMAND --help` shows the options of a command, `xaibench --version` the version.
Begin with `xaibench doctor`, then `xaibench run --suite quick`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the words after ``xaibench``; the process's own arguments if None.

    Returns:
        0: success; 1: something failed and the rest is kept; 2: usage, an unknown name or unusable input; 3: a plugin
        does not conform; 130: interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process: output is discarded
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the process ends
    # Read before parsing, so that they also hold when parsing fails.
    console = Console(_flag(argv, "q", "--quiet"), _flag(argv, "v", "--verbose"), shlex.join(["xaibench", *argv]))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or ─ shows ? instead
    code = OK
    try:
        with outliving_reader(sys.stderr):
            code = _dispatch(argv, console)
    except SystemExit as end:  # argparse after --help
        code = end.code if isinstance(end.code, int) else OK
    except UserError as error:
        code = _complain(str(error), console, USAGE)
    except KeyboardInterrupt:
        code = _complain(f"Interrupted. Begin again with: {console.command}", console, INTERRUPTED)
    except Exception as error:  # a plugin or a user's model may fail in any way
        first = (str(error).splitlines() or [""])[0].rstrip(".")
        hint = "" if console.verbose else " Add -v for the traceback."
        notes = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
        code = _complain(f"{type(error).__name__}: {first}.{notes}{hint}", console, FAILED)
    with outliving_reader(sys.stdout):
        sys.stdout.flush()
    return code


def _dispatch(argv: list[str], console: Console) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        commands = "\n".join(f"  {name:14} {command.summary}" for name, command in COMMANDS.items())
        show = console.out if argv else console.warn
        show(OVERVIEW.format(commands=commands))
        return OK if argv else USAGE
    if argv[0] in ("-V", "--version"):
        console.out(f"xaibench {version('xaibench')}")
        return OK
    inner = [name for name in COMMANDS if name.startswith(f"{argv[0]} ")]
    words = 2 if inner else 1
    name = " ".join(argv[:words])
    if name not in COMMANDS and inner and (len(argv) == 1 or argv[1] in ("-h", "--help")):
        console.out("\n".join(f"xaibench {name:14} {COMMANDS[name].summary}" for name in inner))
        return OK if len(argv) > 1 else USAGE
    if name not in COMMANDS:
        what = "option" if name.startswith("-") else "command"
        known = ["--help", "--version"] if what == "option" else inner or {name.split()[0] for name in COMMANDS}
        hint = did_you_mean(name, known, "`xaibench --help` shows the commands.")
        raise UserError(f"There is no {what} {name!r}.", hint)
    command = COMMANDS[name]
    parser = Parser(f"xaibench {name}", command.summary, command.epilog)
    command.configure(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    args = parser.parse(argv[words:])
    return command.execute(args, console) or OK


def _flag(argv: list[str], letter: str, word: str) -> bool:
    return word in argv or any(re.fullmatch(r"-[qv]+", a) and letter in a for a in argv)


def _complain(text: str, console: Console, code: int) -> int:
    if console.verbose and code != INTERRUPTED:
        traceback.print_exc()
    console.warn(f"xaibench: {text}")
    return code
