"""Makes every published table anew, from your own copy of DRIVE: ``python results/make.py`` (``make results``).

What is computed is kept in ``runs/`` and never computed again: interrupt it as often as you like. What is published,
numbers alone, goes to ``results/``. Name tables to make only these; ``--list`` shows them.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tables import RUNS, TABLES, command, said

HERE = Path(__file__).parent


def make(name: str) -> None:
    """Compute what is missing of a table, and publish it."""
    for part in TABLES[name].parts:
        words = [*command(name, part), "--workers", str(os.cpu_count() or 1)]  # the same bits with any number
        print(typed(words), flush=True)
        done = _run(words)
        if done == 130:
            raise SystemExit("Interrupted; the same command goes on.")
        if done not in (0, 1):
            raise SystemExit(f"{name} could not be made.")
    publish(name)


def publish(name: str) -> None:
    """Numbers alone, to ``results/``, with the commands that made them."""
    said("publish", str(RUNS / name), "--out", str(HERE / name))
    (HERE / name / "commands.txt").write_text("".join(f"{typed(command(name, part))}\n" for part in TABLES[name].parts))
    (HERE / name / "leaderboard.md").write_text(leaderboard(name))
    if not TABLES[name].wide:
        (HERE / name / "claims.md").write_text(said("claims", str(HERE / name), "--format", "markdown"))


def leaderboard(name: str) -> str:
    """The page of a published table."""
    return said("leaderboard", str(HERE / name), "--format", "markdown", *(["--wide"] if TABLES[name].wide else []))


def typed(words: Sequence[str]) -> str:
    """A command as one types it."""
    return shlex.join(["xaibench", *words])


def _run(words: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", "xaibench", *words], check=False).returncode


def main() -> None:
    """Tables by name, all by default, and the pages that compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--list", action="store_true", help="show the commands and compute nothing")
    args = parser.parse_args()
    if strange := [t for t in args.tables if t not in TABLES]:
        parser.error(f"there is no table {strange[0]}; there are {', '.join(TABLES)}")
    for name in args.tables or TABLES:
        if args.list:
            print("\n".join(typed(command(name, part)) for part in TABLES[name].parts))
        else:
            make(name)
    if not args.tables and not args.list:
        import pages  # and with it the networks

        pages.write()


if __name__ == "__main__":
    main()
