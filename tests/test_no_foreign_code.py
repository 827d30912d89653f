"""Nothing that comes from outside is ever run: the source has none of the calls that would.

What the user names in so many words is another thing: an installed plugin, or ``package.module:factory``.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import xaibench

SOURCE = Path(xaibench.__file__).parent
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
MODULES |= {"code", "codeop", "subprocess", "pty", "commands", "runpy", "multiprocessing.shared_memory"}
CALLS = {"eval", "exec", "compile", "__import__", "execfile", "input", "breakpoint", "import_module"}
METHODS = {  # of a module: by the name that it usually has
    *("torch.load", "torch.hub.load", "torch.jit.load", "np.load", "np.fromfile", "numpy.load"),
    *("np.lib.format.read_array", "pd.read_pickle", "pandas.read_pickle", "os.system", "os.popen", "os.startfile"),
    *("importlib.import_module", "ctypes.CDLL", "ctypes.cdll"),
}
SPAWN = ("os.spawn", "os.exec", "os.posix_spawn")
ALLOWED = {
    ("models/model_loader.py", "importlib.import_module"): "package.module:factory, which the user types to run it",
    ("metrics/cost.py", "ctypes.CDLL"): "the C library of the process itself, to give memory back",
    ("scorer/batching.py", "ctypes.CDLL"): "the same, to keep memory",
    ("running/sandbox/snapshot.py", "ctypes.CDLL"): "the same, to compare memory",
    ("running/dask/serialize.py", "pickle"): "what the run itself has sent to its workers, through Dask's own channel",
    ("record/score_table.py", "pickle"): "the process's own temporary file, to sort what memory does not hold",
}


def foreign(tree: ast.AST) -> Iterator[str]:
    """Each import or call that could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name in MODULES or a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in MODULES:
                yield node.module
            names = (f"{node.module}.{a.name}" for a in node.names)
            yield from (name for name in names if name in METHODS and name != "importlib.import_module")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS | METHODS or name.startswith(SPAWN):
                yield name
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in ("allow_pickle", "shell") and not off:
                    yield f"{name}({keyword.arg}=…)"
                if keyword.arg == "weights_only" and off:
                    yield f"{name}(weights_only=False)"


FILES = {path.relative_to(SOURCE).as_posix(): path for path in sorted(SOURCE.rglob("*.py"))}


def test_the_whole_source_is_looked_at() -> None:
    assert len(FILES) > 100 and {where for where, _ in ALLOWED} <= set(FILES)


@pytest.mark.parametrize("where", FILES)
def test_nothing_from_outside_is_run_but_what_is_allowed(where: str) -> None:
    found = set(foreign(ast.parse(FILES[where].read_text("utf-8"))))
    assert found == {what for allowed, what in ALLOWED if allowed == where}


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
