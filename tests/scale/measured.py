"""What a simulated run costs to plan, resume, aggregate and write out; a program, so that its memory is its own.

python measured.py FOLDER METHODS MODELS IMAGES plan resume table csv scores
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import xaibench
from scale.simulated import Simulation, digest
from xaibench.record.store import Store


def plan(simulation: Simulation, store: Store) -> int:
    """The keys of all cells."""
    from xaibench.running.plan import Plan

    specs, digests = simulation.specs, [digest(i) for i in simulation.ids]
    plans = (Plan(specs, setting) for setting in simulation.settings)
    return sum(len(p.cells(d)) for p in plans for d in digests)


def resume(simulation: Simulation, store: Store) -> dict[str, int]:
    """What each cell still lacks, by the run's folder."""
    from xaibench.running.plan import Kept, Plan

    specs, digests = simulation.specs, [digest(i) for i in simulation.ids]
    plans = [Plan(specs, setting) for setting in simulation.settings]
    kept = Kept(store, plans[0])
    todo = (kept.missing(cell) for p in plans for d in digests for cell in p.cells(d))
    return dict(Counter("map" if t is None else "scores" if t else "kept" for t in todo))


def table(simulation: Simulation, store: Store) -> list[int]:
    """What ``xaibench leaderboard`` does."""
    from xaibench.leaderboard.aggregate import read_leaderboards
    from xaibench.leaderboard.tables.render import render

    boards = read_leaderboards([store])
    render(boards)
    return [len(boards), len(boards[0].rows), len(boards[0].cases)]


def csv(simulation: Simulation, store: Store) -> int:
    """What the end of a run does: every column with its interval, and the quality of the metrics."""
    from xaibench.leaderboard.aggregate import read_leaderboards
    from xaibench.leaderboard.tables.render import write_leaderboard

    return sum(path.stat().st_size for path in write_leaderboard(store, read_leaderboards([store])))


def scores(simulation: Simulation, store: Store) -> int:
    """``scores.csv``."""
    path = store.write_scores()
    size = path.stat().st_size
    path.unlink()
    return size


def measure(simulation: Simulation, root: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Seconds of wall and processor time of each step and what it found, and the process's peak memory in GB."""
    steps = {f.__name__: f for f in (plan, resume, table, csv, scores)}
    found = {}
    for name in names:
        wall, cpu = time.perf_counter(), time.process_time()
        result = steps[name](simulation, Store(root))
        found[name] = {
            "wall": round(time.perf_counter() - wall, 3),
            "cpu": round(time.process_time() - cpu, 3),
            "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
            "found": result,
        }
    return found


def measured(simulation: Simulation, root: Path, *names: str) -> dict[str, dict[str, Any]]:
    """As :func:`measure`, in a process of its own."""
    size = map(str, (simulation.methods, simulation.models, simulation.images))
    paths = (Path(xaibench.__file__).parents[1], Path(__file__).parents[1], os.environ.get("PYTHONPATH", ""))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, __file__, str(root), *size, *names]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    json.dump(measure(Simulation(*map(int, sys.argv[2:5])), Path(sys.argv[1]), sys.argv[5:]), sys.stdout)
