"""LaTeX tables are compiled where there is a LaTeX."""

import shutil
import subprocess
from pathlib import Path

import pytest

from leaderboard.synthetic import leaderboards, record, records
from xaibench.leaderboard.tables.metric_quality_table import render_metrics
from xaibench.leaderboard.tables.render import render

PDFLATEX = shutil.which("pdflatex")
NASTY = r"a_b%c&d#e$f{g}h~i^j\k<l>|m[n=-1,o=\x]"
PAGE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(PDFLATEX is None, reason="there is no pdflatex")
@pytest.mark.parametrize("wide", [True, False])
def test_tables_compile_whatever_the_methods_and_metrics_are_called(tmp_path: Path, wide: bool) -> None:
    found = records({NASTY: [0.9, 0.8, None], "[b] 日本é": [0.2, -0.3, 0.1], "*": [0.2, 0.3, 0.1]})
    found += records({"frangi": [0.5, 0.4, 0.3], "random": [0.1, 0.0, 0.0]}, control=True)
    scores = {"srg": 0.4, "auroc-thin": 0.7, "mprt": 0.3, "we_ird[x=1,y=50%]": 1e-9}
    boards = leaderboards([*found, record("c", "01", scores, {"srg": [0.1, 0.2]})])
    text = render(boards, "latex", wide=wide) + render_metrics(boards, "latex")
    (tmp_path / "table.tex").write_text(PAGE.replace("%s", text), "utf-8")
    command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-1500:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000
