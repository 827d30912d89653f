"""Nothing that comes from outside is ever run: the source has none of the calls that would.

What the user names in so many words is another thing: an installed plugin, or ``package.module:factory``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import xaibench

SOURCE = Path(xaibench.__file__).parent
MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
    "code",
    "codeop",
}
MODULES |= {"subprocess", "pty", "commands", "runpy", "multiprocessing.shared_memory"}
CALLS = {"eval", "exec", "compile", "__import__", "execfile", "input", "breakpoint"}
METHODS = {  # of a module: by the name that it usually has
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch.jit", "load"),
    ("np", "load"),
    ("np", "fromfile"),
    ("numpy", "load"),
    ("np.lib.format", "read_array"),
    ("pd", "read_pickle"),
    ("pandas", "read_pickle"),
    ("os", "system"),
    ("os", "popen"),
    ("os", "startfile"),
    ("importlib", "import_module"),
    ("ctypes", "CDLL"),
    ("ctypes", "cdll"),
}
SPAWN = ("spawn", "exec", "posix_spawn")  # of os
ALLOWED = {
    ("model/load.py", "importlib.import_module"): "package.module:factory, which the user types to have it run",
    ("__init__.py", "importlib.import_module"): "the package's own modules, from a table",
    ("data/__init__.py", "import_module"): "the package's own modules, from a table",
    ("metrics/cost.py", "ctypes.CDLL"): "the C library of the process itself, to give memory back",
    ("scorer/engine.py", "ctypes.CDLL"): "the same, to keep memory",
    ("scorer/state.py", "ctypes.CDLL"): "the same, to compare memory",
    ("run/orders.py", "pickle"): "what the run itself has sent to its workers, through Dask's own channel",
}


def foreign(tree: ast.AST) -> Iterator[str]:
    """Each import or call that could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name in MODULES or a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in MODULES:
                yield node.module
            yield from (a.name for a in node.names if (node.module, a.name) in METHODS and a.name != "import_module")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            module, _, method = name.rpartition(".")
            if (
                name in CALLS
                or name == "import_module"
                or (module, method) in METHODS
                or (module == "os" and method.startswith(SPAWN))
            ):
                yield name
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in ("allow_pickle", "shell") and not off:
                    yield f"{name}({keyword.arg}=…)"
                if keyword.arg == "weights_only" and off:
                    yield f"{name}(weights_only=False)"


FILES = sorted(SOURCE.rglob("*.py"))


def test_the_whole_source_is_looked_at() -> None:
    assert len(FILES) > 100


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_from_outside_is_run(path: Path) -> None:
    where = path.relative_to(SOURCE).as_posix()
    found = {what for what in foreign(ast.parse(path.read_text("utf-8"))) if (where, what) not in ALLOWED}
    assert not found, f"{where}: {', '.join(sorted(found))}"


@pytest.mark.parametrize("allowed", ALLOWED, ids=str)
def test_what_is_allowed_is_still_there(allowed: tuple[str, str]) -> None:
    where, what = allowed
    assert what in set(foreign(ast.parse((SOURCE / where).read_text("utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load('x')",
        "from torch import load",
        "import numpy as np; np.load('x')",
        "np.load('x', allow_pickle=True)",
        "read(x, allow_pickle=flag)",
        "run(x, shell=True)",
        "load(x, weights_only=False)",
        "eval(x)",
        "exec(x)",
        "import yaml; yaml.load(x)",
        "import os; os.system(x)",
        "os.execv(x, y)",
        "import importlib; importlib.import_module(x)",
        "import subprocess",
    ],
)
def test_the_search_finds(code: str) -> None:
    assert list(foreign(ast.parse(code)))
