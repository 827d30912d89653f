"""Refreshes the tables that ``xaibench list`` prints, in the pages that show them: ``python docs/tables.py``."""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
TABLE = re.compile(r"(<!-- (xaibench list \w+ --markdown) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Replace what stands between ``<!-- xaibench list … -->`` and ``<!-- end -->`` by what the command prints."""
    for page in sorted(FOLDER.glob("*.md")):
        text = page.read_text("utf-8")
        fresh = TABLE.sub(lambda m: m[1] + _printed(m[2]) + m[3], text)
        if fresh != text:
            page.write_text(fresh, "utf-8")
            print(page)


def _printed(command: str) -> str:
    return subprocess.run([sys.executable, "-m", *command.split()], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
