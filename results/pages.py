"""The pages that stand beside the tables: how well each network segments, and whether rankings agree.

``python results/pages.py`` reads the published folders and, for ``segmentation.md``, evaluates the networks.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import excerpts
import networks
import numpy as np
from networks import board
from PIL import Image
from scipy.stats import kendalltau
from tables import BLURRED, FINE
from torch import Tensor

import xaibench as xb
from xaibench import plot
from xaibench.data.case import Case
from xaibench.leaderboard import Leaderboard
from xaibench.leaderboard.answers import FEW, answer, paired
from xaibench.leaderboard.text import number
from xaibench.model.evaluate import FIGURES, Evaluation, evaluate, predict
from xaibench.run.plan import FEW_STEPS
from xaibench.run.plan import FILLS as OTHER_FILLS

HERE = Path(__file__).parent
NETWORKS = {
    "drive": ("unet-drive", "attention-drive", "segresnet-drive"),
    "chase": ("unet-chase", "attention-chase", "segresnet-chase"),
}
TITLES = {"drive": "On DRIVE's test images", "chase": "On CHASE_DB1, children 06 to 10"}
SHOWN = ("gradcam", f"gradcam{FINE}", "saliency", "integrated-gradients", "kernel-shap", "lime")
OBSERVER = "*second observer*"
TARGETS = ("vessels", "thin", "thick", "false-positives")
CONTROLS = ("prediction", "prediction-of-target")
GATE = "mprt"
FILLS = ("srg", *(f"srg[fill={fill},steps={FEW_STEPS}]" for fill in OTHER_FILLS))


def means(board: Leaderboard, name: str) -> dict[str, float]:
    """A column of a table, by method that is no control, without those that lack a score."""
    column = board.column(name)
    assert column is not None, f"{name} was not measured"
    found = zip(board.rows, board.mean(column), strict=True)
    return {row.method: float(mean) for row, mean in found if not row.control and np.isfinite(mean)}


def agreement(rankings: dict[str, dict[str, float]]) -> list[str]:
    """Kendall's τ between all pairs of rankings over the methods that both have, as a Markdown table."""
    names = list(rankings)
    lines = ["| | " + " | ".join(names) + " | best | methods |", "| --- |" + " --: |" * len(names) + " --- | --: |"]
    for a in names:
        cells = []
        for b in names:
            common = sorted(set(rankings[a]) & set(rankings[b]))
            one, other = ([r[m] for m in common] for r in (rankings[a], rankings[b]))
            cells.append("" if a == b else f"{kendalltau(one, other).statistic:.2f}")
        best = max(rankings[a], key=rankings[a].__getitem__)
        lines.append(f"| {a} | " + " | ".join(cells) + f" | {best} | {len(rankings[a])} |")
    return lines


def beaten(board: Leaderboard, columns: Sequence[str], controls: Sequence[str]) -> list[str]:
    """Which controls each method beats (+), loses to (−) or is not told apart from (=), by column, as a Markdown table.

    By the 95 % bootstrap interval of the paired difference over images; – where a score is missing.

    Raises:
        ValueError: if a column was not measured.
    """
    names = [row.method for row in board.rows]
    found = [column for column in map(board.column, columns) if column is not None]
    if len(found) < len(columns):
        raise ValueError(f"{board.dataset} lacks one of {', '.join(columns)}.")
    heads = [f"{control}: {column.name}" for control in controls for column in found]
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " :-: |" * len(heads)]
    for i, row in enumerate(board.rows):
        if not row.control:
            ends = [paired(board, c, i, names.index(control))[1:] for control in controls for c in found]
            marks = ["+" if low > 0 else "−" if high < 0 else "–" if np.isnan(low) else "=" for low, high in ends]
            lines.append(f"| {row.method} | " + " | ".join(marks) + " |")
    return lines


def write_agreement() -> None:
    """``agreement.md``: is the best method best everywhere?"""
    boards = {name: board(name) for name in networks.NAMES}
    across = {name: means(table, "srg") for name, table in boards.items()}
    blurred = {name: means(table, BLURRED) for name, table in boards.items() if table.column(BLURRED) is not None}
    drive = boards["drive"]
    fills = {fill: means(drive, fill) for fill in FILLS}
    targets = {target: means(board("drive", target), "srg") for target in TARGETS}
    text = [
        "# Is the best method best everywhere?",
        "",
        "Kendall's τ between rankings by mean `srg`, over the methods that two tables have in common: 1 is the same "
        "order, 0 none.",
        "",
        "## Across networks and data (target vessels)",
        "",
        *agreement(across),
        "",
        f"With blurs instead of inpainting (`{BLURRED}`), where that was measured:",
        "",
        *agreement(blurred),
        "",
        "What a method beats (+), loses to (−) or is not told apart from (=), by the 95 % interval of the difference:",
        "",
        *itertools.chain.from_iterable(
            (
                f"### {name}",
                "",
                *beaten(table, [c for c in FILLS if table.column(c) is not None], ("prediction", "frangi")),
                "",
            )
            for name, table in boards.items()
            if table is not drive
        ),
        "## Across fills (DRIVE, U-Net, target vessels)",
        "",
        *agreement(fills),
        "",
        "What a method beats, as above:",
        "",
        *beaten(drive, FILLS, ("prediction", "frangi", "green-contrast")),
        "",
        "## Across targets (DRIVE, U-Net)",
        "",
        *agreement(targets),
        "",
        "What a method beats, as above, by target:",
        "",
        *itertools.chain.from_iterable(
            (f"### {target}", "", *beaten(board("drive", target), ["srg"], (*CONTROLS, "frangi")), "")
            for target in TARGETS
        ),
    ]
    (HERE / "agreement.md").write_text("\n".join(text))


def gated(table: Leaderboard, name: str) -> tuple[dict[str, float], dict[str, float]]:
    """Mean of a gate's column by method that is no control: of those that pass, and of those that do not, lowest first.

    Raises:
        ValueError: if the column was not measured or is no gate.
    """
    column = table.column(name)
    if column is None or column.gate is None:
        raise ValueError(f"{table.dataset} has no gate {name}.")
    found = sorted(means(table, name).items(), key=lambda item: item[1])
    passing, failing = ({m: v for m, v in found if column.passes(v) is good} for good in (True, False))
    return passing, failing


def questions(asked: Sequence[tuple[str, Leaderboard, str]], failing: Collection[str] = ()) -> list[str]:
    """Which methods answer a question best, as a Markdown table: (question, table, column) each, † with who fails."""
    heads = ["question", "column", "first", "value", "not told apart from it", *(f"*{c}*" for c in CONTROLS)]
    lines = [f"| {' | '.join(heads)} |", "| --- | --- | --- | --: | --- |" + " --: |" * len(CONTROLS)]
    for question, table, name in asked:
        column = table.column(name)
        found = answer(question, table, column) if column is not None else None
        if column is None or found is None:
            raise ValueError(f"No method has {name} on every image of {table.dataset}.")
        known = {r.method: float(m) for r, m in zip(table.rows, table.mean(column), strict=True) if r.control}
        levels = [number(known[c], bounded=column.bounded) if c in known else "" for c in CONTROLS]
        best, others = (", ".join(f"{m}†" if m in failing else m for m in ms) for ms in (found.best, found.alike))
        alike = "too few images to tell" if found.told == FEW else others or "none"
        cells = [question, name, best, found.value, alike, *levels]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _with_means(found: Mapping[str, float]) -> str:
    return ", ".join(f"{method} ({number(mean, bounded=True)})" for method, mean in found.items())


def write_questions() -> None:
    """``questions.md``: which method for which question."""
    drive = {target: board("drive", target) for target in TARGETS}
    sanity, truth = board("drive-sanity"), board("phantom-truth")
    passing, failing = gated(sanity, GATE)
    asked = [
        *((f"What does the network use for {target}?", drive[target], "srg") for target in TARGETS),
        ("Where are the thin vessels that it sees?", drive["thin"], "auroc-thin"),
        ("Where are the thick ones?", drive["thick"], "auroc-thick"),
        ("Are thin and thick vessels treated alike?", drive["vessels"], "thin-gap"),
        ("… where they have the same contrast?", drive["vessels"], "thin-gap-matched"),
        ("Does the map depend on what is asked?", drive["vessels"], "target-sensitivity"),
        ("Does it stay the same under a little noise?", sanity, "max-sensitivity"),
        ("What is each region's share, exactly?", truth, "shapley-error"),
        ("What does the network depend on that is no vessel?", truth, "shortcut"),
    ]
    text = [
        "# Which method for which question?",
        "",
        "First by mean rank over images, with its mean and 95 % interval, and the methods that cannot be told apart "
        "from it (Friedman, then Wilcoxon with Holm, α = .05). The prediction itself, which explains nothing, stands "
        "beside, whole and cut out where the target is.",
        "",
        *questions(asked, failing),
        "",
        f"† does not pass `{GATE}` (below): asked for the same pixels, networks with random weights get maps with "
        "nearly its order of pixels. Methods that are not named there were not tested.",
        "",
        "## Which maps depend on what the network has learnt?",
        "",
        f"By `{GATE}`, the mean rank correlation of a map with those of the network randomised from the top down "
        f"({len(sanity.cases)} images of DRIVE, U-Net, the methods of few passes).",
        "",
        f"* Pass: {_with_means(passing)}.",
        f"* Do not pass: {_with_means(failing)}.",
        "",
    ]
    (HERE / "questions.md").write_text("\n".join(text))


def write_segmentation() -> None:
    """``segmentation.md``: each network on each dataset."""
    head = f"| network | {' | '.join(FIGURES)} | f1 per image |\n| --- |{' --: |' * (len(FIGURES) + 1)}\n"
    text = (HERE / "segmentation.head.md").read_text()
    for data, title in TITLES.items():
        cases = list(xb.load_cases(data, split="test"))
        predictors = {n: partial(predict, xb.load_model(n)) for n in itertools.chain(*NETWORKS.values())}
        predictors[OBSERVER] = _second(cases)
        rows = [_row(name, evaluate(predictor, cases)) for name, predictor in predictors.items()]
        text += f"\n## {title} ({len(cases)} images)\n\n{head}" + "".join(rows)
    (HERE / "segmentation.md").write_text(text)


def _second(cases: Sequence[Case]) -> Callable[[Tensor], Tensor]:
    """The second observer as a network that is asked for one case after the other."""
    masks = iter([case.observer2 for case in cases])
    return lambda _image: next(masks).float()


def _row(name: str, found: Evaluation) -> str:
    per_image = [image["f1"] for image in found.per_image.values()]
    # A drawing of yes and no has one point on each curve, so no area that compares with a network's.
    cells = ["–" if name == OBSERVER and f in ("auc", "ap") else f"{found.pooled[f]:.4f}" for f in FIGURES]
    return f"| {name} | {' | '.join(cells)} | {np.mean(per_image):.3f} ± {np.std(per_image, ddof=1):.3f} |\n"


def write_pictures() -> None:
    """``pictures/``: figures of numbers, and one photograph, of CHASE_DB1 (Fraz 2012, CC BY 4.0); none of DRIVE."""
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    drive = plot.read(HERE / "drive")
    for draw in (plot.thin_against_thick, plot.critical_difference, plot.cost_against_faithfulness):
        plot.save(draw(drive), folder / f"{draw.__name__.replace('_', '-')}.svg")
    case = xb.load_cases("chase", split="test")[0]
    with TemporaryDirectory() as place:
        photograph, shown = Path(place) / f"Image_{case.id}.png", Path(place) / "shown.png"
        pixels = (case.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(photograph)
        words = ["explain", str(photograph), "--model", "unet-chase", "--method", ",".join(SHOWN), "--out", str(shown)]
        subprocess.run([sys.executable, "-m", "xaibench", *words], check=True)
        with Image.open(shown) as picture:
            size = 1600, 1600 * picture.height // picture.width
            picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(folder / "chase.jpg", quality=85)


def write() -> None:
    """All pages."""
    write_agreement()
    networks.write()
    write_questions()
    write_segmentation()
    write_pictures()
    excerpts.write()


if __name__ == "__main__":
    write()
