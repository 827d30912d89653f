"""Every command and snippet of the documentation is run, page by page, as a reader would in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from layouts import MAKE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"sh", "python", "text"}
# What a page says to a reader, and what a test can do in its place.
SUBSTITUTES = {
    "pip install .\n": "",  # whoever runs the tests has done it
    "/path/to/DRIVE": "$DRIVE_LIKE",
    "--data drive": "--data drive --model unet-phantom",  # generated pictures, of which only that network knows
}
# For time; not where a network is trained, whose crops have 256 px.
SMALLER = {"size=256": "size=128", "size=192": "size=128", "--size 256": "--size 128"}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Kind and content of each fenced block."""
    return FENCE.findall(page.read_text())


def script(page: Path) -> str:
    """One shell script of all that a page has a reader type."""
    parts = []
    for kind, body in blocks(page):
        if kind == "sh":
            parts.append(body)
        elif kind == "python":
            parts.append(f"python - <<'END_OF_SNIPPET'\n{body}END_OF_SNIPPET\n")
    return "".join(map(_substituted, "".join(parts).splitlines(keepends=True)))


def _substituted(line: str) -> str:
    for said, done in (SUBSTITUTES if "xaibench train" in line else SUBSTITUTES | SMALLER).items():
        line = line.replace(said, done)
    return line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_blocks_say_what_they_are(page: Path) -> None:
    text = page.read_text()
    assert {kind for kind, _ in blocks(page)} <= KINDS
    rest = FENCE.sub("", text)
    assert "```" not in rest and not re.search(r"^    \S", rest, re.MULTILINE), "a block that no test would run"


@pytest.mark.parametrize("page", [p for p in PAGES if script(p)], ids=lambda p: p.stem)
def test_what_a_page_says_works(page: Path, tmp_path: Path) -> None:
    drive = MAKE.drive(tmp_path / "data" / "DRIVE", training=[21, 22], test=[1, 2])
    here = tmp_path / "here"
    here.mkdir()
    site = tmp_path / "site"
    env = {k: v for k, v in os.environ.items() if not k.startswith("XAIBENCH_")} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DRIVE_LIKE": str(drive),
        "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PIP_TARGET": str(site),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip's environment says that there is none
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "NO_COLOR": "1",
    }
    command = ["bash", "-euo", "pipefail", "-c", script(page)]
    ran = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
    if "dask " not in script(page):  # whose processes may say how they lost sight of each other as they end
        assert "Traceback" not in ran.stderr, ran.stderr[-6000:]


def test_the_site_can_be_built(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install '.[docs]' for the site")
    pytest.importorskip("mkdocstrings", reason="pip install '.[docs]' for the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr[-3000:]
    shown = (tmp_path / "site" / "api" / "index.html").read_text()
    assert "Scorer" in shown and ":class:" not in shown and ":func:" not in shown
    assert '<a href="../bibliography/#demsar2006">Demšar 2006</a>' in shown
