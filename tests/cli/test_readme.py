"""What the README shows is what the program prints."""

from pathlib import Path

import pytest

from cli.said import Run

ROOT = Path(__file__).parents[2]


def between(text: str, name: str) -> list[str]:
    """The lines between ``<!-- name -->`` and the next ``<!-- end -->``."""
    _before, found, after = text.partition(f"<!-- {name} -->\n")
    assert found, f"there is no <!-- {name} -->"
    return [line for line in after.partition("<!-- end -->")[0].splitlines() if line]


@pytest.mark.parametrize(
    ("kind", "page"),
    [("explainers", "methods.md"), ("metrics", "metrics.md"), ("datasets", "data.md"), ("models", "model.md")],
)
def test_the_tables_of_plugins_are_the_commands(xaibench: Run, kind: str, page: str) -> None:
    said = xaibench("list", kind, "--markdown")
    assert said.code == 0
    shown = (ROOT / "docs" / page).read_text()
    assert between(shown, f"xaibench list {kind} --markdown") == said.out.splitlines(), "`python docs/tables.py` helps"


def test_its_picture_is_there() -> None:
    assert "(docs/gradcam-phantom.png)" in (ROOT / "README.md").read_text()
    assert (ROOT / "docs" / "gradcam-phantom.png").stat().st_size > 10_000
