"""What can happen to a run in one process, many times over."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import running.sandbox.test_guard as bad
from cli.said import Disk
from faults import Lab, Tally, complete, damage, failing, kill_often, numbers, wait_for

from xaibench.cli.main import main

pytestmark = pytest.mark.soak
Ledger = Callable[[str, Tally], None]


def account(tally: Tally, out: Path, before: dict[Path, int]) -> dict[Path, int]:
    """Count what was lost and computed twice since then; returns what is finished now."""
    now = complete(out)
    tally.lost += sum(path not in now for path in before)
    tally.twice += sum(now.get(path, at) != at for path, at in before.items())
    tally.corrupt += len(damage(out))
    return now


def test_kill_9(lab: Lab, undisturbed: dict[str, Any], ledger: Ledger) -> None:
    chance = random.Random(1)
    tally = kill_often(lab, lab.folder / "run", 20, lambda: chance.uniform(0, 0.6))
    ledger("kill -9", tally)
    last = max(lab.folder.glob("run*"), key=lambda p: len(p.name))
    assert numbers(last) == undisturbed


def test_control_c(lab: Lab, undisturbed: dict[str, Any], ledger: Ledger) -> None:
    chance, out = random.Random(2), lab.folder / "run"
    once, twice, kept = Tally(), Tally(), dict[Path, int]()
    for i in range(8):
        tally = twice if i % 2 else once
        begun = (out / "run.json").stat().st_mtime_ns if i else 0
        process = lab.start(out)
        wait_for(lambda begun=begun: (out / "run.json").exists() and (out / "run.json").stat().st_mtime_ns != begun)
        time.sleep(chance.uniform(0, 0.2))
        for _ in range(1 + i % 2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        _, err = process.communicate(timeout=120)
        assert "Traceback" not in err and process.returncode in (0, 130), err
        assert process.returncode == 0 or "Resume with: xaibench run" in err.splitlines()[-1], err
        tally.injected += process.returncode == 130
        kept = account(tally, out, kept)
        assert not list(out.rglob("*.tmp"))
    assert lab.run(out)[0] == 0
    account(once, out, kept)
    ledger("Ctrl-C once", once)
    ledger("Ctrl-C twice", twice)
    assert numbers(out) == undisturbed


def test_runs_at_once(lab: Lab, undisturbed: dict[str, Any], ledger: Ledger) -> None:
    """The same command three times; then two halves of it; and then one of two is killed."""

    def end(*runs: subprocess.Popen[str]) -> None:
        said = [run.communicate(timeout=300)[1] for run in runs]
        assert {run.returncode for run in runs} == {0}, said

    tally, out = Tally(), lab.folder / "same"
    end(*(lab.start(out) for _ in range(3)))
    tally.injected += 2
    tally.twice += len(lab.calls) - lab.cases
    tally.corrupt += len(damage(out))
    assert numbers(out) == undisturbed

    halves = lab.folder / "halves"
    started = []
    for methods in (("logged",), ("saliency",)):
        lab.methods = methods
        started.append(lab.start(halves))
    end(*started)
    tally.injected += 1
    tally.corrupt += len(damage(halves))
    lab.methods = ("logged", "saliency")
    kept = complete(halves)
    tally.lost += len(complete(out)) - len(kept)
    assert numbers(halves) == undisturbed  # of what was asked for, run.json alone may have another order

    killed = lab.folder / "killed"
    first = lab.start(killed)
    wait_for(lambda: list(killed.glob("cells/*/*.json")))
    second = lab.start(killed)
    time.sleep(1)
    first.kill()
    first.communicate()
    kept = complete(killed)
    end(second)
    tally.injected += 1
    account(tally, killed, kept)
    assert numbers(killed) == undisturbed
    ledger("another run in the folder", tally)


@pytest.fixture
def here(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """The lab's command in this process, which is quicker."""
    for name in ("FAULTS_LOG", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, lab.env[name])
    lab.methods = ("saliency",)
    return lambda out: main([*lab.argv(out)[3:], "-q"])


def test_a_write_that_fails(lab: Lab, here: Callable[[Path], int], ledger: Ledger) -> None:
    assert here(lab.folder / "whole") == 0
    whole = numbers(lab.folder / "whole")
    for name, words in (("write_bytes", "a write that fails half way"), ("replace", "a rename that fails")):
        tally, out, kept, at = Tally(), lab.folder / name, dict[Path, int](), 1
        while True:
            with failing(name, at):
                code = here(out)
            if code == 0:
                break
            assert code == 2 and not list(out.rglob("*.tmp"))
            tally.injected += 1
            kept = account(tally, out, kept)
            at += 2
        ledger(words, tally)
        assert numbers(out) == whole


def test_a_full_disk(lab: Lab, here: Callable[[Path], int], disk: Disk, ledger: Ledger) -> None:
    assert here(lab.folder / "whole") == 0
    tally, kept = Tally(), dict[Path, int]()
    for size in range(40, 1000, 48):
        out = disk(f"size={size}k") / "run"
        code = here(out)
        assert code in (0, 2)
        tally.injected += code == 2
        kept = account(tally, out, kept)
        if code == 0:
            break
    assert code == 0 and numbers(out) == numbers(lab.folder / "whole")
    ledger("a full disk", tally)


def test_damaged_files(lab: Lab, here: Callable[[Path], int], ledger: Ledger, capsys: Any) -> None:
    """Bits, ends and whole contents of files are changed at random: each is found, and the next run mends it."""
    out, whole, chance, tally = lab.folder / "run", lab.folder / "whole", random.Random(3), Tally()
    assert here(whole) == 0
    shutil.copytree(whole, out)
    wanted = numbers(whole)
    for _ in range(10):
        files = sorted([*out.glob("cells/*/*.json"), *out.glob("maps/*/*.npz")])
        broken = chance.sample(files, 6)
        for path in broken:
            content = bytearray(path.read_bytes())
            kind = chance.choice(("bit", "end", "other"))
            if kind == "bit":
                at = chance.randrange(len(content)) if path.suffix == ".json" else chance.randrange(len(content) // 3)
                content[at] ^= 1 << chance.randrange(8)
            elif kind == "end":
                del content[chance.randrange(len(content)) :]
            else:
                content = bytearray(
                    chance.choice([p for p in files if p.suffix == path.suffix and p != path]).read_bytes()
                )
            path.write_bytes(content)
        tally.injected += len(broken)
        kept = {p: at for p, at in complete(out).items() if p not in broken and maps_of(p) not in broken}
        capsys.readouterr()
        assert main([*lab.argv(out)[3:]]) == 0
        said = capsys.readouterr().err
        # A bit of an archive that says nothing of its content may change; whatever else does is named.
        silent = [p for p in broken if str(p) not in said]
        assert all(p.suffix == ".npz" for p in silent)
        account(tally, out, kept)
        found = numbers(out)
        tally.lost += sum(found.get(name) != value for name, value in wanted.items())
    ledger("a file that is damaged", tally)


def maps_of(cell: Path) -> Path:
    return cell.parents[2] / "maps" / cell.parent.name / f"{cell.stem}.npz"


def test_methods_and_metrics_that_misbehave(tmp_path: Path, ledger: Ledger) -> None:
    """All of them between good ones, in random orders; a number of a good one that changes is lost."""
    chance, methods, metrics = random.Random(4), Tally(), Tally()
    wanted = bad.compute(tmp_path / "good", bad.GOOD).content()
    harmless = [bad.method(name, do) for name, do in bad.HARMLESS.items()]
    spoilers = [*bad.bad_methods(), *harmless]
    for i in range(5):
        order = [*bad.GOOD, *spoilers]
        chance.shuffle(order)
        bench = bad.compute(tmp_path / f"methods {i}", order, force=True)
        found = bench.content(bad.GOOD)
        methods.injected += 2 * len(spoilers)
        methods.lost += sum(found[key] != value for key, value in wanted.items())
        statuses = [r.status for r in bench.store.records()]
        assert statuses.count("failed") == 2 * (len(spoilers) - len(harmless))
    for i in range(3):
        scores = [*bad.METRICS, *(bad.own_metric(f"bad-{name}", do) for name, (do, _) in bad.BAD_METRICS.items())]
        chance.shuffle(scores)
        bench = bad.compute(tmp_path / f"metrics {i}", bad.GOOD, scores)
        found = bench.content(metrics=bad.METRICS)
        metrics.lost += sum(found[key] != value for key, value in wanted.items())
        for record in bench.store.records():
            failed = {s.metric for s in record.scores if s.status == "failed"}
            assert failed == {f"bad-{name}" for name in bad.BAD_METRICS}
        metrics.injected += len(bad.BAD_METRICS) * len(wanted)
    ledger("a method that misbehaves", methods)
    ledger("a metric that misbehaves", metrics)
