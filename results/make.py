"""Recompute the published tables from your own copy of the data: ``python results/make.py`` (``make results``).

Runs are kept in ``runs/`` and resume where they stopped. Only numbers are published to ``results/``. Name tables to
make only these; ``--list`` prints the commands.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tables import RUNS, TABLES, command, run_cli

HERE = Path(__file__).parent


def make(name: str) -> None:
    """Compute the missing cells of a table and publish it."""
    for part in TABLES[name].parts:
        words = [*command(name, part), "--workers", str(os.cpu_count() or 1)]  # the same bits with any number
        print(shell_line(words), flush=True)
        exit_code = subprocess.run([sys.executable, "-m", "xaibench", *words], check=False).returncode
        if exit_code == 130:
            raise SystemExit("Interrupted; the same command resumes.")
        if exit_code not in (0, 1):
            raise SystemExit(f"{name} could not be made.")
    publish(name)


def publish(name: str) -> None:
    """Write a run's numbers to ``results/``, with the commands that made them."""
    run_cli("publish", str(RUNS / name), "--out", str(HERE / name))
    lines = (f"{shell_line(command(name, part))}\n" for part in TABLES[name].parts)
    (HERE / name / "commands.txt").write_text("".join(lines))
    (HERE / name / "leaderboard.md").write_text(leaderboard(name))
    if not TABLES[name].wide:
        (HERE / name / "claims.md").write_text(claims(name))


def leaderboard(name: str) -> str:
    """The text of a published ``leaderboard.md``."""
    return run_cli("leaderboard", str(HERE / name), "--format", "markdown", *(["--wide"] if TABLES[name].wide else []))


def claims(name: str) -> str:
    """The text of a published ``claims.md``."""
    return run_cli("claims", str(HERE / name), "--format", "markdown")


def shell_line(words: Sequence[str]) -> str:
    """An ``xaibench`` command as typed in a shell."""
    return shlex.join(["xaibench", *words])


def main() -> None:
    """Make the named tables; without names make all of them, and the pages that compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--list", action="store_true", help="print the commands and compute nothing")
    args = parser.parse_args()
    if unknown := [t for t in args.tables if t not in TABLES]:
        parser.error(f"there is no table {unknown[0]}; there are {', '.join(TABLES)}")
    for name in args.tables or TABLES:
        if args.list:
            print("\n".join(shell_line(command(name, part)) for part in TABLES[name].parts))
        else:
            make(name)
    if not args.tables and not args.list:
        import pages  # imports torch

        pages.write()


if __name__ == "__main__":
    main()
