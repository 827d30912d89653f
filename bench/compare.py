"""Compare two saved runs: ``python bench/compare.py old.json new.json [--tolerance .25]``; exits 1 on a regression.

What is compared is time in passes and peak memory, so that the two runs may come from times at which the machine was
not equally fast. What takes less than three passes is too short to judge its time.
"""

import argparse
import sys
from pathlib import Path

from report import in_passes, read, timed

SHORT = 3.0  # passes
SMALL = 100.0  # MB, of which no growth is a regression


def regressions(old: Path, new: Path, tolerance: float) -> list[str]:
    """One line for each that takes longer or more memory than before, beyond the tolerance, or is gone."""
    before = {(r["kind"], r["name"]): r for r in timed(read(old))}
    after = {(r["kind"], r["name"]): r for r in timed(read(new))}
    found = [f"{kind} {name} is gone" for kind, name in before if (kind, name) not in after]
    for key in before.keys() & after.keys():
        b, a = before[key], after[key]
        if key[0] == "peer":
            continue
        if in_passes(a) > SHORT and in_passes(a) > (1 + tolerance) * max(in_passes(b), SHORT):
            found.append(f"{' '.join(key)} takes {in_passes(a):.1f} passes instead of {in_passes(b):.1f}")
        if a["peak_mb"] > SMALL + (1 + tolerance) * b["peak_mb"]:
            found.append(f"{' '.join(key)} takes {a['peak_mb']:.0f} MB instead of {b['peak_mb']:.0f}")
    return sorted(found)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare two saved benchmark runs.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument(
        "--tolerance", type=float, default=0.25, help="share beyond which it is no noise (default: .25)"
    )
    args = parser.parse_args()
    found = regressions(args.old, args.new, args.tolerance)
    print("\n".join(found) or "No regression.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
