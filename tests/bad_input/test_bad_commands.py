"""The whole command on bad input: exit code 2, one line on stderr, nothing on stdout, nothing left behind."""

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from bad_input.archives import packed
from bad_input.judge import answer, check_sentence, folder, refused, snapshot, soon
from bad_input.pictures import contents, png_of, saved, tiff_of
from bad_input.test_bad_pictures import EYE
from bad_input.test_bad_runs import CELLS, RUN, dumped, write
from bad_input.test_bad_weights import WHOLE
from xaibench.cli.main import main

Check = Callable[..., None]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with folder() as inside:
        monkeypatch.chdir(inside)
        for variable in ("XAIBENCH_DRIVE", "XAIBENCH_CHASE", "XAIBENCH_MEMORY"):
            monkeypatch.delenv(variable, raising=False)
        (inside / "w.safetensors").write_bytes(WHOLE)
        yield inside


@pytest.fixture
def refuses(place: Path, capfd: pytest.CaptureFixture[str]) -> Check:
    """Runs a command that must end with code 2 and one sentence, and change nothing."""

    def check(*argv: str | Path, says: str = "") -> None:
        before = snapshot(place)
        capfd.readouterr()
        with soon(60):
            code = main([os.fspath(a) for a in argv])
        out, err = capfd.readouterr()
        assert (code, out) == (2, ""), err
        check_sentence(err.removesuffix("\n"))
        assert err.startswith("xaibench: ") and says in err
        assert snapshot(place) == before

    return check


EXPLAIN = ["explain", "eye.png", "--method", "saliency,prediction", "--model", "w.safetensors"]
PICTURES = {
    "empty": (b"", "is empty"),
    "no image": (b"hello", "no image"),
    "half": (saved(EYE)[:90], "cannot be read"),
    "bomb": (png_of(50_000, 50_000), "million pixels"),
    "TIFF bomb": (tiff_of(50_000, 50_000, 16), "million pixels"),
    "NaN": (saved(np.full((9, 9), np.nan, np.float32), "TIFF"), "not clear what is white"),
    "half a TIFF": (saved(EYE, "TIFF", compression="tiff_deflate")[:-40], "cannot be read"),
    "zip": (packed([("a.png", saved(EYE))]), "no image"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_explain_a_picture_that_is_none(name: str, place: Path, refuses: Check) -> None:
    content, says = PICTURES[name]
    (place / "eye.png").write_bytes(content)
    refuses(*EXPLAIN, says=says)


@pytest.mark.parametrize(
    "pixels", [EYE[30:31, 30:31], EYE[:3, :2], EYE[:1], EYE * 0, EYE * 0 + 255, EYE[:, :, :1].repeat(3, 2)]
)
def test_explain_a_picture_that_is_odd(pixels: np.ndarray, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One pixel, a few, one line, one colour: a picture of what the network says of it, or that it says nothing."""
    (place / "eye.png").write_bytes(saved(np.ascontiguousarray(pixels)))
    with soon(60):
        code = main([*EXPLAIN, "--out", "out.png", "-q"])
    err = capfd.readouterr().err
    drawn = code == 0 and not err and (place / "out.png").is_file()
    assert drawn or (code == 2 and ("nothing to explain" in err or "shows nothing" in err))


FEW = settings(max_examples=max(10, settings().max_examples // 10))


@FEW
@given(contents)
def test_explain_any_content(content: bytes) -> None:
    files = folder({"eye.png": content, "w.safetensors": WHOLE})
    with files as place, redirect_stderr(io.StringIO()) as err, redirect_stdout(io.StringIO()) as out, chdir(place):
        code = answer("explain", lambda: main([*EXPLAIN, "--out", "out.png", "-q"]))
        if code == 0:
            assert not err.getvalue() and out.getvalue().startswith("Written to")
            assert (place / "out.png").stat().st_size
        else:
            assert code == 2 and out.getvalue() == "" and not (place / "out.png").exists()
            refused["explain"] += 1
            check_sentence(err.getvalue().removesuffix("\n"))


@pytest.mark.parametrize(
    "name", ["eye\n.png", "\x1b[2J.png", "\udcff.png", "x" * 5000, "~no-such-user/x.png", "pipe.png", ".", "\0"]
)
def test_explain_a_name_that_is_none(name: str, place: Path, refuses: Check) -> None:
    os.mkfifo(place / "pipe.png")
    refuses("explain", name, "--method", "saliency")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("run", "--cases", "-1"), "--cases"),
        (("run", "--seed", "1e9"), "whole number"),
        (("run", "--seed", "1" + "0" * 400), "whole number"),
        (("run", "--device", "cuda:99", "--data", "phantom[size=128]"), "CUDA devices"),
        (("run", "--target", "x"), "there is no 'x'"),
        (("run", "--data", "phantom[size=0.5]"), "not an int"),
        (("run", "--data", "phantom[size=99999]"), "too large"),
        (("run", "--data", "x" * 5000), "neither a dataset"),
        (("run", "--method", "occlusion[patch=16,patch=32]"), "twice"),
        (("run", "--method", "smoothgrad[noise=1e999]"), "more than can be computed with"),
        (("run", "--method", "gradcam[layer=last"), "bracket"),
        (("run", "--metric", "srg[steps=nan]"), "not an int"),
        (("run", "--model", "no_such_module:make"), "does not import"),
        (("run", "--model", "/dev/zero"), "no model"),
        (("run", "--model", "w.pth"), "never loaded"),
        (("run", "--model", "half.safetensors"), "damaged"),
        (("run", "--out", "\0", "--data", "phantom[size=128]"), "zero character"),
        (("evaluate", "--data", "eyes.zip"), "not a readable zip archive"),
        (("evaluate", "--data", "phantom", "--threshold", "nan"), "--threshold"),
        (("train", "--data", "nowhere", "--out", "w2.safetensors"), "neither a dataset"),
        (("train", "--data", "phantom", "--out", "w2.safetensors", "--seed", "9" * 30), "--seed"),
        (("data", "phantom", "--out", "p", "--count", "9" * 20), "--count"),
        (("data", "phantom", "--out", "p", "--size", "9" * 9), "--size"),
        (("data", "check", "pipe.zip"), "neither a folder nor a zip archive"),
        (("data", "check", "w.safetensors"), "w.safetensors"),
        (("leaderboard", "nowhere"), "no folder"),
        (("leaderboard", "x" * 5000), "no folder"),
        (("leaderboard", "empty"), "no record"),
        (("claims", "empty"), "no record"),
        (("claims", "bare"), "no record"),
        (("report", "empty"), "no record"),
        (("report", "pipe.zip"), "not the folder of a run"),
        (("check", "gradcam[layer=a\nb]"), ""),
        (("list", "\x1b[2J"), ""),
        (("new", "explainer", "../x"), "no name"),
    ],
)
def test_a_command_that_cannot_be_followed(argv: tuple[str, ...], says: str, place: Path, refuses: Check) -> None:
    (place / "eyes.zip").write_bytes(b"PK\x03\x04")
    (place / "half.safetensors").write_bytes(WHOLE[:5000])
    (place / "w.pth").write_bytes(b"\x80\x04.")
    os.mkfifo(place / "pipe.zip")
    (place / "bare" / "cells").mkdir(parents=True)
    (place / "empty").mkdir()
    (place / "empty" / "run.json").write_text("{}")
    refuses(*argv, says=says)


@pytest.mark.parametrize("value", ["x", "-1", "nan", ""])
def test_an_allowance_of_memory_that_is_no_number(
    value: str, monkeypatch: pytest.MonkeyPatch, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XAIBENCH_MEMORY", value)
    command = "run --data phantom[size=128] --cases 1 --method saliency --metric seconds --out r -q"
    assert main(command.split()) == 2
    err = capfd.readouterr().err
    check_sentence(err.removesuffix("\n"))
    assert "XAIBENCH_MEMORY" in err


def test_reading_a_folder_that_was_edited_leaves_out_what_is_damaged(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    strange, untimed = CELLS[0] | {"case": "\x1b[2J"}, CELLS[1] | {"seconds": "soon"}
    write(place / "run", [strange, untimed, DEEP, CELLS[3] | {"case_digest": "../../x"}, *CELLS[4:]])
    for command in ("leaderboard", "claims", "report"):
        with soon(120):
            code = main([command, str(place / "run"), *(["--no-films"] if command == "report" else [])])
        out, err = capfd.readouterr()
        assert code == 0 and out, err
        lines = err.splitlines()
        assert len(lines) == 4 and all("is damaged and left out" in line and line.isprintable() for line in lines)


def test_a_report_runs_no_code_that_the_folder_names(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mark = place.parent.parent / "ran"
    (place / "payload.py").write_text(f"open({str(mark)!r}, 'w').close()\ndef make(): raise RuntimeError('ran')")
    monkeypatch.syspath_prepend(place)
    run = RUN | {"data": "phantom[size=128]", "network": "payload:make", "command": "xaibench run; touch ran"}
    write(place / "run", CELLS, dumped(run))
    assert main(["report", "run"]) == 0
    err = capfd.readouterr().err
    assert not mark.exists() and "payload:make, which is not run because a folder says so" in err
    assert main(["report", "run", "--model", "payload:make", "--force"]) == 0  # which is naming it
    assert mark.exists()
    mark.unlink()


RUN_IT = "run -q --out run --data phantom[size=128] --cases 1 --model w.safetensors --method saliency"


def test_a_run_goes_on_in_a_folder_that_was_edited(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = [*RUN_IT.split(), "--metric", "auroc-vessels"]
    assert main(command) == 0
    sound = {p.name: p.read_bytes() for p in (place / "run").glob("cells/*/*")}
    for i, path in enumerate(sorted((place / "run").glob("cells/*/*"))):
        record = json.loads(path.read_bytes())
        path.write_bytes([b"{", DEEP, dumped(record | {"seconds": [1]}), dumped([record]), b"\xff"][i % 5])
    (place / "run" / "run.json").write_bytes(dumped({"cases": 5, "methods": {"a": 1}}))
    (place / "outside").mkdir()
    assert main(command) == 0, capfd.readouterr().err
    again = {p.name: p.read_bytes() for p in (place / "run").glob("cells/*/*")}
    assert again.keys() == sound.keys()
    for name, content in again.items():
        old, new = json.loads(sound[name]), json.loads(content)
        assert [s["value"] for s in old["scores"]] == [s["value"] for s in new["scores"]]
    assert not list((place / "outside").iterdir())
    assert {p.name for p in place.iterdir()} == {"run", "outside", "w.safetensors"}


DEEP = b"[" * 100_000
