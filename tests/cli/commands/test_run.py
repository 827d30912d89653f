import csv
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.said import CELLS, METHODS, Register, Run, stdout_closed, strict
from cli.unusual import ABSENT
from xaibench.models import bundled
from xaibench.record import Store
from xaibench.running import run as run_module
from xaibench.running.events import Listener
from xaibench.running.execute import execute


def files(folder: Path) -> dict[str, int]:
    """When each record and map was written, ns."""
    found = (p for kind in ("cells", "maps") for p in folder.glob(f"{kind}/*/*"))
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in found}


def test_a_run_from_data_to_summary(compute: Run) -> None:
    said = compute("--method", "gradcam", "--out", "first")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "Data: phantom[size=128], as asked."
    assert any(line.startswith("1  gradcam") for line in lines) and "auroc-vessels" in said.out
    assert "Kept in first: scores.csv, leaderboard.csv, leaderboard.md" in said.out
    assert lines[-1].startswith("These are 2 images") and "gradcam is the only ranked method" in lines[-3]
    assert said.err.startswith(f"{CELLS} cells: {METHODS} methods on 2 images, 1 metric, model tiny, target vessels")
    assert "\r" not in said.err  # stderr is no terminal here: no bars
    names = {p.name for p in Path("first").iterdir() if p.name not in ("tables", "index")}
    assert names == {
        *("run.json", "cells", "maps", "pictures", "scores.csv", "segments.csv", "false_positives.csv"),
        *("leaderboard.csv", "leaderboard.md", "metrics.csv", ".lock"),
    }


def test_the_exact_command_and_what_it_ran_with_are_kept(finished: Path, weights: Path) -> None:
    asked = strict((finished / "run.json").read_text())
    words = shlex.split(asked["command"])
    assert words[:4] == ["xaibench", "run", "--data", "phantom[size=128]"] and words[-1] == "-q"
    assert asked["model"] == "tiny" and str(weights) in words
    assert {"python", "xaibench", "torch", "numpy"} <= set(asked["versions"])


def test_the_same_command_computes_nothing_again(compute: Run) -> None:
    first, before = compute("--out", "twice"), files(Path("twice"))
    again = compute("--out", "twice")
    assert f"{CELLS - 2} computed, 0 kept, 2 skipped" in first.err and f"0 computed, {CELLS} kept" in again.err
    assert again.code == 0 and again.out == first.out and files(Path("twice")) == before

    more = compute("--out", "twice", "--metric", "mass-vessels")  # a further metric reads the maps that are there
    after = files(Path("twice"))
    assert f"{CELLS - 2} computed, 2 kept" in more.err and "mass-vessels" in Path("twice/leaderboard.csv").read_text()
    assert after.keys() == before.keys() and all(after[f] == at for f, at in before.items() if f.startswith("maps"))

    forced = compute("--out", "twice", "--force")
    assert f"{CELLS - 2} computed, 0 kept" in forced.err
    assert all(t > after[name] for name, t in files(Path("twice")).items())


def test_a_dry_run_tells_and_does_nothing(compute: Run, tmp_path: Path) -> None:
    said = compute("--dry-run", "--out", "dry")
    assert said.code == 0 and list(tmp_path.iterdir()) == [] and not said.err
    assert f"{CELLS} cells: {METHODS} methods on 2 images, 1 metric" in said.out
    assert f"0 kept, 0 with scores to compute, {CELLS} with map and scores to compute." in said.out
    assert "methods: gradcam, frangi" in said.out and "metrics: auroc-vessels" in said.out
    assert "images: phantom-0000, phantom-0001" in said.out and "folder: dry" in said.out


def test_a_dry_run_knows_what_is_there(compute: Run, finished: Path) -> None:
    before = files(finished)
    more = ("--method", "gradcam", "gradcam[layer=last]", "--metric", "mass-vessels")
    said = compute("--out", str(finished), *more, "--dry-run", "--json")
    found = said.json
    assert (found["cells"], found["kept"], found["scores"], found["maps"]) == (CELLS + 2, 2, CELLS - 2, 2)
    assert found["methods"][:2] == ["gradcam", "gradcam[layer=last]"] and found["run"] == str(finished)
    assert found["metrics"] == ["auroc-vessels", "mass-vessels"] and len(found["cases"]) == 2
    assert files(finished) == before
    assert compute("--out", str(finished), "--dry-run", "--json").json["kept"] == CELLS


def test_json_is_one_strict_document(compute: Run, finished: Path) -> None:
    said = compute("--out", str(finished), "--json")
    found = said.json
    assert said.code == 0 and found["run"] == str(finished)
    assert found["cells"] == {"ok": 0, "kept": CELLS, "skipped": 0, "failed": 0}
    assert [line["what"] for line in found["lost"]] == [["second-observer"]]  # which phantoms have not
    assert found["leaderboard"][0]["method"] == "gradcam" and 0 <= found["leaderboard"][0]["auroc-vessels"] <= 1
    assert found["summary"][0].startswith("gradcam is the only ranked method")
    assert said.err.startswith("Data: phantom")  # which data is not for the reader of the document


def test_quiet_leaves_the_result_alone(compute: Run, finished: Path) -> None:
    loud, quiet = (compute("--out", str(finished), *flag) for flag in ((), ("-q",)))
    assert loud.err and quiet == (0, loud.out, "")


def test_without_data_phantoms_are_used_and_it_says_why(
    xaibench: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ("run", "--model", str(weights), "--metric", "auroc-vessels", "--dry-run", "--cases", "1")
    assert xaibench(*argv).out.startswith("Data: built-in phantoms, since DRIVE was not found")
    monkeypatch.setenv("XAIBENCH_DRIVE", "/nowhere/at/all")
    assert "since XAIBENCH_DRIVE is /nowhere/at/all, which holds no labelled DRIVE" in xaibench(*argv).out


def test_a_failing_method_costs_its_cells_and_nothing_else(compute: Run, unusual: None) -> None:
    argv = ("--method", "gradcam", "boom", "--out", "f")
    said = compute(*argv)
    assert said.code == 1
    for case in ("phantom-0000", "phantom-0001"):
        assert f"boom on {case} failed: RuntimeError: no such thing as a map\n" in said.err
    assert "Traceback" not in said.err and "2 cells failed" in said.err.splitlines()[-1]
    assert "Failed, 2 ×: RuntimeError: no such thing as a map (boom)." in said.err
    with Path("f/scores.csv").open() as file:
        status = {(line["method"], line["status"]) for line in csv.DictReader(file)}
    assert {("boom", "failed"), ("gradcam", "ok"), ("random", "ok")} <= status

    again = compute(*argv, "-q", "-v")  # failed cells are tried again, the others kept
    assert again.code == 1 and again.err.count("Traceback") == 2 and "raise RuntimeError" in again.err
    assert compute(*argv, "--json").json["cells"] == {"ok": 0, "kept": CELLS, "skipped": 0, "failed": 2}


def test_fail_fast_ends_with_the_first_failure(compute: Run, unusual: None) -> None:
    said = compute("--method", "gradcam", "boom", "--out", "f", "--fail-fast")
    assert said.code == 1 and "xaibench: RuntimeError: no such thing as a map" in said.err
    assert [r.spec for r in Store("f").records()] == ["gradcam"]


def test_what_is_skipped_says_why_once(compute: Run, unusual: None) -> None:
    said = compute("--method", "picky", "--metric", "auroc-thin", "--out", "s")
    assert said.code == 0 and said.err.count("the moon is full") == 1
    assert "Skipped, 2 ×: the moon is full (picky)." in said.err


def test_a_plugin_that_does_not_import_is_fatal_only_when_asked_for(compute: Run, register_plugin: Register) -> None:
    register_plugin("broken", ABSENT)
    assert compute("--dry-run").code == 0
    said = compute("--method", "broken")
    assert said.code == 2 and "other-package does not import: ModuleNotFoundError" in said.err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--method", "gradcam[layer=lst]"], "Did you mean last?"),
        (["--device", "toaster"], "auto, cpu or cuda:N"),
        (["--out", "/dev/null/x"], "cannot be written"),
        (["--workers", "0"], "--workers: it takes a whole number of 1 or more, not '0'."),
        (["--workers", "2", "--scheduler", "h:1"], "--workers and --scheduler are two places to compute in."),
        (["--scheduler", "tcp://127.0.0.1:9"], "The scheduler tcp://127.0.0.1:9 cannot be reached"),
        (["--scheduler-file", "absent.json"], "The scheduler file absent.json cannot be read: No such file"),
        (["--timeout", "0"], "--timeout: it takes a number of 0.001 or more, not '0'."),
    ],
)
def test_unusable_input_is_told_in_one_sentence(compute: Run, argv: list[str], words: str) -> None:
    said = compute(*argv, "-q")
    assert said.code == 2 and said.err.startswith("xaibench: ") and said.err.count("\n") == 1 and words in said.err


def test_missing_bundled_weights_are_told(xaibench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    said = xaibench("run", "--data", "phantom[size=128]")
    assert said.code == 2 and str(tmp_path / "unet-phantom.safetensors") in said.err


def test_an_interruption_keeps_what_is_finished_and_tells_how_to_go_on(
    xaibench: Run, compute: Run, small: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(run: Any, listener: Listener) -> int:
        def stop(event: Any) -> None:
            listener.report(event)
            if event.done == 3:
                raise KeyboardInterrupt

        return execute(run, replace(listener, report=stop))

    monkeypatch.setattr(run_module, "execute", interrupted)
    said = compute("--out", "my run", "--force")
    assert said.code == 130 and len(list(Store("my run").records())) == 3
    last = said.err.splitlines()[-1]
    assert last.startswith(f"xaibench: Interrupted after 3 of {CELLS} cells, which are kept in my run. Resume with: ")
    command = shlex.split(last.partition("Resume with: ")[2])
    assert command == ["xaibench", "run", *small, "--out", "my run"]  # --force would begin anew

    monkeypatch.setattr(run_module, "execute", execute)
    resumed = xaibench(*command[1:])
    assert resumed.code == 0 and f"{CELLS - 5} computed, 3 kept" in resumed.err


def test_a_reader_who_leaves_costs_no_result(small: Sequence[str], finished: Path) -> None:
    shutil.copytree(finished, "p")
    Path("p/leaderboard.md").unlink()
    stdout_closed("run", *small, "--out", "p", "-q")
    assert Path("p/leaderboard.md").is_file()
