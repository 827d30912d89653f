import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from faults import python

from cli.said import Run, stdout_closed
from xaibench.cli.main import COMMANDS

NETWORK = {"torch", "monai", "skimage", "sklearn"}
HEAVY = NETWORK | {"scipy", "pandas"}
# What is done one after the other in one process, and what is not loaded by then.
LIGHT = (
    ("import xaibench as x; (x.explainer, x.metric, x.UserError)", HEAVY | {"numpy"}),
    ("from xaibench.registry import names; assert names('explainer') and names('metric')", HEAVY | {"numpy"}),
    ("from xaibench.bibliography import references; references()", HEAVY | {"numpy"}),
    ("from xaibench.cli.main import main", HEAVY | {"numpy"}),
    ("assert main(['report', '--help']) == 0", HEAVY | {"jinja2", "matplotlib", "numpy", "PIL"}),
    *((f"assert main({line.split()}) == 0", HEAVY) for line in ("--help", "--version", "run --help")),
    *((f"assert main({line.split()}) == 2", HEAVY) for line in ("rnu", "run --metod gradcam", "run --target thn")),
    ("assert main(['run', '--method', 'gradcm']) == 2", HEAVY),
    ("assert main(['claims', FINISHED]) == 0", HEAVY),
    ("assert main(['leaderboard', 'nowhere']) == 2", NETWORK),
    ("assert main(['leaderboard', FINISHED, '--wide']) == 0", NETWORK),
    ("assert main(['report', FINISHED, '--no-films', '--out', 'page.html']) == 0", NETWORK),
    ("import xaibench.running.run", {"distributed"}),
)


def test_what_computes_nothing_loads_no_large_library(finished: Path) -> None:
    steps = (f"{done}; assert not (loaded := {modules} & set(sys.modules)), loaded" for done, modules in LIGHT)
    python("\n".join(["import sys; FINISHED = sys.argv[1]", *steps]), str(finished))


def test_help_names_every_command(xaibench: Run) -> None:
    said = xaibench("--help")
    assert said.code == 0 and not said.err
    for name, command in COMMANDS.items():
        assert f"  {name} " in said.out and command.summary in said.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(xaibench: Run, name: str) -> None:
    said = xaibench(*name.split(), "--help")
    assert said.code == 0 and said.out.startswith(f"usage: xaibench {name} ") and "--verbose" in said.out


def test_python_m_is_the_same_command_with_the_arguments_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-m", "xaibench", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"xaibench {version('xaibench')}\n", "")


def test_no_command_is_a_mistake_that_shows_the_commands(xaibench: Run) -> None:
    said = xaibench()
    assert said.code == 2 and not said.out and "leaderboard" in said.err
    assert xaibench("data").code == 2 and xaibench("data", "--help").code == 0


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["rnu"], ["'rnu'", "Did you mean run?"]),
        (["leaderbord", "x"], ["'leaderbord'", "Did you mean leaderboard?"]),
        (["xyzzy"], ["'xyzzy'", "`xaibench --help`"]),
        (["--vrsion"], ["'--vrsion'", "Did you mean --version?"]),
        (["data", "chek", "x"], ["'data chek'", "Did you mean data check?"]),
        (["run", "--metod", "gradcam"], ["no option --metod", "--method"]),
        (["run", "--metod=gradcam"], ["no option --metod.", "--method"]),
        (["run", "--meth", "gradcam"], ["no option --meth", "--method"]),  # no abbreviations
        (["run", "gradcam"], ["'gradcam'", "`xaibench run --help`"]),
        (["run", "--out"], ["--out needs a value", "`xaibench run --help`"]),
        (["run", "--cases", "many"], ["--cases", "'many'", "whole number of 1 or more"]),
        (["run", "--cases", "0"], ["--cases", "'0'"]),
        (["run", "--seed", "-1"], ["--seed", "'-1'"]),
        (["run", "--target", "thn"], ["--target", "'thn'", "Did you mean thin"]),
        (["run", "--target", "xyzzy"], ["--target", "vessels, thin, thick, false-positives, false-negatives"]),
        (["run", "--suite", "quik"], ["--suite", "Did you mean quick?"]),
        (["run", "--method", "gradcm"], ["'gradcm'", "Did you mean gradcam"]),
        (["run", "--method", "gradcam[layr=last]"], ["'layr'", "layer"]),
        (["run", "--metric", "auroc-thn"], ["'auroc-thn'", "Did you mean auroc-thin"]),
        (["run", "--data", "phantm"], ["'phantm'", "Did you mean phantom?"]),
        (["run", "--data", "phantom[size=20]"], ["20 px", "128 px"]),
        (["run", "--data", "phantom", "--split", "tst"], ["'tst'", "test"]),
        (["run", "--data", "phantom", "--model", "unet-phantm"], ["'unet-phantm'", "Did you mean unet-phantom"]),
        (["run", "--data", "phantom", "--model", "no.safetensors"], ["no.safetensors", "`xaibench list models`"]),
        (["list"], ["KIND", "`xaibench list --help`"]),
        (["list", "explainer"], ["'explainer'", "Did you mean explainers?"]),
        (["leaderboard"], ["RUN"]),
        (["leaderboard", "nowhere"], ["nowhere", "`xaibench run --out nowhere`"]),
        (["leaderboard", "nowhere", "--format", "tabel"], ["--format", "Did you mean table?"]),
        (["evaluate"], ["--data", "`xaibench evaluate --help`"]),
        (["evaluate", "--data", "phantom", "--threshold", "2"], ["--threshold", "0 or more and of 1 or less"]),
        (["train", "--data", "phantom"], ["--out"]),
        (["train", "--data", "phantom", "--out", "w.safetensors", "--steps", "nan"], ["--steps", "'nan'"]),
        (["evaluate", "--data", "phantom", "--model", "made_up:GreenFilte"], ["Did you mean GreenFilter?"]),
        (["claims"], ["Missing: RUN.", "`xaibench claims --help`"]),
        (["claims", "nowhere"], ["There is no folder nowhere."]),
        (["claims", "."], ["not the folder of a run"]),
        (["claims", ".", "--format", "jsn"], ["--format", "'jsn'", "Did you mean json?"]),
        (["leaderboard", "."], [". is not the folder of a run"]),
        (["report"], ["Missing: RUN"]),
        (["check", "gradcm"], ["'gradcm'", "Did you mean gradcam"]),
        (["check", "uniform", "nothing-of-the-kind"], ["'nothing-of-the-kind'", "There is no explainer or metric"]),
        (["check", "gradcam[lyer=last]"], ["no parameter 'lyer'", "layer"]),
        (["check", "auroc-thin[fill=blur]"], ["no parameter 'fill'"]),
        (["check"], ["Missing: NAME"]),
        (["data", "check", "nowhere"], ["nowhere"]),
        (["data", "phantom", "--count", "1", "--size", "128", "--out", "/dev/null/x"], ["cannot be written"]),
        (["data", "phantom", "--out", "x", "--size", "12"], ["--size", "128 or more"]),
        (["new", "explainer", "My_Method"], ["'My_Method' is no name", "Try my-method."]),
        (["new", "explainer", "2nd"], ["'2nd' is no name", "a letter first", "Try nd."]),
        (["new", "explainer", "a--b"], ["'a--b' is no name", "Try a-b."]),
        (["new", "explainer", "a-"], ["'a-' is no name"]),
        (["new", "explainer", "äöü"], ["'äöü' is no name", "Try my-method."]),
        (["new", "explainer", ""], ["'' is no name"]),
        (["new", "explainer", "a/../../b"], ["is no name"]),
        (["new", "explainer", "gradcam"], ["There is an explainer called 'gradcam' already"]),
        (["new", "metric", "srg"], ["There is a metric called 'srg' already"]),
        (["new", "explainer", "a" * 300], ["cannot be written: "]),
        (["new", "explainer"], ["Missing: NAME"]),
    ],
)
def test_a_mistake_is_answered_in_one_line_with_what_was_meant(
    xaibench: Run, argv: list[str], words: list[str]
) -> None:
    said = xaibench(*argv)
    assert said.code == 2 and not said.out
    assert said.err.startswith("xaibench: ") and said.err.count("\n") == 1
    for word in words:
        assert word in said.err, said.err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "command", ["run", "train", "report x", "publish x", "data phantom", "new explainer x", "explain x"]
)
def test_an_empty_out_is_not_taken_for_this_folder(xaibench: Run, command: str) -> None:
    said = xaibench(*command.split(), "--out", "")
    assert (said.code, said.out) == (2, "") and not list(Path().iterdir())
    assert said.err == "xaibench: --out: it takes the name of a file or folder, not ''.\n"


def test_the_traceback_comes_only_with_v(xaibench: Run) -> None:
    argv = ["run", "--method", "gradcm"]
    assert "Traceback" not in xaibench(*argv).err
    for flag in ("-v", "--verbose", "-qv"):
        said = xaibench(*argv, flag)
        assert said.code == 2 and "Traceback" in said.err and said.err.splitlines()[-1].startswith("xaibench: ")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OSError("the disk is on fire\nand so on"), 1, "OSError: the disk is on fire. Add -v for the traceback."),
        (KeyboardInterrupt(), 130, "Interrupted. Begin again with: xaibench doctor --json"),
    ],
)
def test_what_ends_a_command_is_one_line(
    xaibench: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, sentence: str
) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setitem(COMMANDS, "doctor", COMMANDS["doctor"]._replace(execute=fail))
    assert xaibench("doctor", "--json") == (code, "", f"xaibench: {sentence}\n")


def test_a_terminal_without_the_letters_gets_others(finished: Path) -> None:
    command = [sys.executable, "-m", "xaibench", "leaderboard", str(finished)]
    env = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, env=env)
    assert done.returncode == 0 and not done.stderr and b"gradcam" in done.stdout and done.stdout.isascii()


@pytest.mark.parametrize("argv", [["--help"], ["list", "datasets"]])
def test_a_reader_who_leaves_early_is_no_error(argv: list[str]) -> None:
    stdout_closed(*argv)


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_what_is_closed_is_written_to_by_nobody(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m xaibench --version {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert done.stdout.startswith("xaibench ") == (closed == "2>&-")
