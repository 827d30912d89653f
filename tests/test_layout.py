"""The layout of the source: sizes, names, test modules, and the page that leads a reader to the right module."""

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import xaibench

SOURCE = Path(xaibench.__file__).parent
ROOT = Path(__file__).parents[1]
MODULES = sorted(p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*.py") if p.name != "__init__.py")
# Rooms whose modules are named after what they show or start; a module there may mirror one elsewhere.
MIRRORS = ("cli/commands/", "report/sections/")
ROW = re.compile(r"^\| (?P<behaviour>[^|]+) \| `(?P<module>[\w/]+\.py)` \| `(?P<name>[\w.]+)` \|$", re.MULTILINE)


def test_no_source_file_is_above_300_lines() -> None:
    assert not {p.name: n for p in SOURCE.rglob("*.py") if (n := len(p.read_text("utf-8").splitlines())) > 300}


def test_no_folder_has_more_than_12_modules() -> None:
    folders = Counter(module.rpartition("/")[0] for module in MODULES)
    assert not {folder: count for folder, count in folders.items() if count > 12}


def test_no_two_modules_have_one_name_unless_one_mirrors_the_other() -> None:
    named: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        if not module.startswith(MIRRORS):
            named[module.rpartition("/")[2]].append(module)
    assert not {name: places for name, places in named.items() if len(places) > 1}


def rows() -> list[tuple[str, str, str]]:
    """Behaviour, module and name of each row of the page's table."""
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    return [(m["behaviour"], m["module"], m["name"]) for m in ROW.finditer(page)]


def test_the_page_leads_to_36_behaviours_and_each_room() -> None:
    assert len({behaviour for behaviour, _, _ in rows()}) >= 36
    rooms = {p.name for p in SOURCE.iterdir() if (p / "__init__.py").is_file()}
    assert rooms <= {module.partition("/")[0] for _, module, _ in rows()}


@pytest.mark.parametrize(("behaviour", "module", "name"), rows())
def test_a_behaviour_is_where_the_page_says(behaviour: str, module: str, name: str) -> None:
    body = ast.parse((SOURCE / module).read_text("utf-8")).body
    for part in name.split("."):
        found = [n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part]
        assert found, f"{module} defines no {name}"
        body = found[0].body
