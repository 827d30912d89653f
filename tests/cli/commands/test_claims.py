import shlex
import shutil
from itertools import product
from pathlib import Path

from cli.said import Run


def test_the_verdicts_of_a_run(xaibench: Run, finished: Path) -> None:
    """The finished run has no metric that a claim is about, and too few images for the one it may have."""
    said = xaibench("claims", str(finished))
    assert said.code == 0 and not said.err
    assert said.out.startswith("Claims · phantom test · tiny\n") and "not measured" in said.out
    assert f"--out {finished} --target vessels --method gradcam" in " ".join(said.out.split())
    assert "supported, since" not in said.out


def test_every_format_has_the_same_claims(xaibench: Run, finished: Path) -> None:
    claims = xaibench("claims", str(finished), "--format", "json").json
    assert [c["claim"] for c in claims] == ["1", "2", "2b", "2c", "3", "3b", "4", "5"]
    markdown = xaibench("claims", str(finished), "--format", "markdown").out
    assert markdown.startswith("## Claims") and all(c["statement"] in markdown for c in claims)


def test_what_is_missing_is_measured_by_the_command_shown(xaibench: Run, finished: Path) -> None:
    shutil.copytree(finished, "copy")
    (claim,) = [c for c in xaibench("claims", "copy", "--format", "json").json if c["claim"] == "4"]
    words = shlex.split(claim["command"])
    assert words[:2] == ["xaibench", "run"] and words[words.index("--out") + 1] == "copy"
    assert xaibench(*words[1:]).code == 0
    (claim,) = [c for c in xaibench("claims", "copy", "--format", "json").json if c["claim"] == "4"]
    assert (claim["verdict"], claim["command"]) == ("undecided", "")
    # An image of this size may have no thick vessel, which is a reason and no loss.
    assert [(t["images"] + t["left_out"], t["lost"]) for t in claim["tests"]] == [(2, 0), (2, 0)]


def test_runs_of_other_images_are_not_taken_together(xaibench: Run, finished: Path, weights: Path) -> None:
    """As the leaderboard refuses them: one and the same name must be one and the same image."""
    argv = ["run", "--data", "phantom[size=144]", "--cases", "1", "--method", "gradcam", "--metric", "auroc-thin"]
    assert xaibench(*argv, "--model", str(weights), "--out", "other").code == 0
    assert xaibench("publish", str(finished), "--out", "published").code == 0
    for command, first in product(("claims", "leaderboard"), (str(finished), "published")):
        said = xaibench(command, first, "other")
        assert (said.code, said.out) == (2, "")
        assert "cannot be compared with" in said.err and "phantom-0000" in said.err
    assert xaibench("claims", str(finished), str(finished)).code == 0
