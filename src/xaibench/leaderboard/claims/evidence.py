"""The founding paper's claims about Grad-CAM, and the evidence that a run has on each.

1. Grad-CAM concentrates on high-contrast vessels.
2. It is less informative for thin vessels; (b) also at equal contrast; (c) also at finer layers.
3. False positives lie where the texture resembles vessels; (b) and their explanation shows that texture.
4. It agrees with the main vessels.
5. SHAP and LIME, the paper's future work, are better or worse than Grad-CAM on thin vessels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboard.claims.false_positive_table import Component, excess_vesselness
from xaibench.leaderboard.claims.verdict import Sample
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.tables.numbers import listed, number

GRADCAM = "gradcam"
FUTURE = ("kernel-shap", "partition-shap", "shapley-sampling", "deep-shap", "lime")
_FINER_LAYERS = ("gradcam[layer=decoder-1/4]", "gradcam[layer=decoder-1/2]")  # of the bundled networks


@dataclass(frozen=True, eq=False)
class Evidence:
    """A number per image that speaks on a claim.

    Attributes:
        name: the heading of its line.
        against: the value that the mean exceeds if the claim holds.
        says: the mean as part of a sentence.
        metrics: the metrics to run for it.
        read: the numbers of a method (the row's name) from a leaderboard; None if the leaderboard lacks them.
        optional: whether the evidence is dropped, instead of reported as missing, if there are no numbers.
    """

    name: str
    against: float
    says: Callable[[float], str]
    metrics: tuple[str, ...]
    read: Callable[[Leaderboard, str], Sample | None]
    optional: bool = False


@dataclass(frozen=True, eq=False)
class Question:
    """A claim with the numbers that speak on it, before it is judged.

    Attributes:
        name: ``"1"``, ``"2"``, ``"2b"`` …
        statement: the claim.
        target: of the maps.
        method: the row that made the maps; may be empty.
        measures: pieces of evidence with their numbers, None if the run lacks them; at least one.
        methods: the methods to run for them.
    """

    name: str
    statement: str
    target: str
    method: str
    measures: tuple[tuple[Evidence, Sample | None], ...]
    methods: tuple[str, ...]


def _sample(board: Leaderboard, method: str, metric: str) -> Sample | None:
    """The scores of one row on each image; None if the leaderboard has no such row or column."""
    column = board.column(metric)
    methods = [r.method for r in board.rows]
    if column is None or method not in methods:
        return None
    row = methods.index(method)
    return Sample(board.scores(column)[row], board.skipped[board.columns.index(column)][row])


def _difference(a: Sample | None, b: Sample | None) -> Sample | None:
    # A difference from something that was not measured is not measured, even if the other side was skipped.
    return a - b if a is not None and b is not None and a.measured and b.measured else None


def _column(metric: str, against: float, says: Callable[[float], str]) -> Evidence:
    return Evidence(metric, against, says, (metric,), lambda board, method: _sample(board, method, metric))


def _beyond_chance(metric: str, says: Callable[[float], str]) -> Evidence:
    """A score minus the same map's mean score against turned vessels; dropped if no image has the latter."""

    def read(board: Leaderboard, method: str) -> Sample | None:
        sample = _sample(board, method, metric)
        if sample is None:
            return None
        chance = board.turned(metric, [r.method for r in board.rows].index(method))
        absent = np.isnan(chance)
        return None if absent.all() else sample - Sample(chance, absent)

    return Evidence(f"{metric} − turned", 0, says, (metric,), read, optional=True)


def _less_gradcam(metric: str, noun: str) -> Evidence:
    """A score minus that of Grad-CAM with its default parameters."""

    def read(board: Leaderboard, method: str) -> Sample | None:
        gradcam = rows(board, GRADCAM)
        return _difference(_sample(board, method, metric), _sample(board, gradcam[0], metric)) if gradcam else None

    says = lambda v: f"its {noun} thin vessels is {_more(v)} than Grad-CAM's"
    return Evidence(f"{metric} − gradcam", 0, says, (metric,), read)


def _more(v: float) -> str:
    return f"{number(abs(v))} {_side(v)}"


def _side(v: float) -> str:
    return "higher" if v > 0 else "lower"


_RATIO = "a pixel of a thick vessel holds {} × the attribution of one of a thin vessel"
_GAPS = (
    _column("thin-gap", 0, lambda v: _RATIO.format(number(2**v))),
    _beyond_chance("thin-gap", lambda v: f"that ratio is {number(2**v)} × the one for vessels turned elsewhere"),
)
_MATCHED_GAPS = (
    _column("thin-gap-matched", 0, lambda v: f"{_RATIO.format(number(2**v))} of the same contrast"),
    _beyond_chance("thin-gap-matched", _GAPS[1].says),
)
_THICK_LESS_THIN = Evidence(
    "auroc thick − thin",
    0,
    lambda v: f"its AUROC on thick vessels is {_more(v)} than on thin ones",
    ("auroc-thick", "auroc-thin"),
    lambda board, method: _difference(_sample(board, method, "auroc-thick"), _sample(board, method, "auroc-thin")),
)
_CONTRAST = (
    _column(
        "contrast-response",
        0,
        lambda v: f"over vessel segments attribution and contrast have a rank correlation of {number(v)}",
    ),
    _beyond_chance("contrast-response", lambda v: f"that is {_more(v)} than for vessels turned elsewhere"),
)
_THICK = (
    _column("auroc-thick", 0.5, lambda v: f"its AUROC on thick vessels is {number(v)} (chance .5)"),
    _column("lift-thick", 1, lambda v: f"a pixel of a thick vessel holds {number(v)} × the average attribution"),
)
_ERRORS = _column(
    "fp-lift",
    1,
    lambda v: f"a pixel of a false positive holds {number(v)} × the attribution of others that look like vessels",
)
_THIN = (_less_gradcam("auroc-thin", "AUROC on"), _less_gradcam("lift-thin", "lift on"))
_LESS_ON_THIN = "Grad-CAM is less informative for thin vessels"
_OF_GRADCAM = (
    ("1", "Grad-CAM concentrates on high-contrast vessels", _CONTRAST),
    ("2", _LESS_ON_THIN, (*_GAPS, _THICK_LESS_THIN)),
    ("2b", f"{_LESS_ON_THIN} also once their contrast is matched", _MATCHED_GAPS),
    ("4", "Grad-CAM agrees with the main vessels", _THICK),
)
_TEXTURE = {
    "false-positives": "Grad-CAM of false positives shows that texture",
    "vessels": "Grad-CAM of what is called vessel shows that texture at false positives",
}


def questions(boards: Mapping[str, Leaderboard], components: Sequence[Component]) -> list[Question]:
    """All claims with the run's numbers on them, in their order.

    Args:
        boards: by target, of one dataset, split and model.
        components: the false positives of the same images.
    """
    board = boards.get("vessels")

    def ask(name: str, statement: str, evidence: Sequence[Evidence], method: str, *methods: str) -> Question:
        measures = _measures(board, evidence, method)
        return Question(name, statement, "vessels", method, measures, methods or (method,))

    plain = rows(board, GRADCAM) or [GRADCAM]
    asked = [ask(name, statement, evidence, m) for name, statement, evidence in _OF_GRADCAM for m in plain]

    at_layers = rows(board, GRADCAM, "layer")
    for m in at_layers:
        layer = m.partition("layer=")[2].partition("]")[0].partition(",")[0]
        asked.append(ask("2c", f"{_LESS_ON_THIN} also at layer {layer}", (*_GAPS, *_MATCHED_GAPS), m))
    if not at_layers:
        missing = _measures(None, (*_GAPS, *_MATCHED_GAPS), GRADCAM)
        statement = f"{_LESS_ON_THIN} also at finer layers"
        asked.append(Question("2c", statement, "vessels", GRADCAM, missing, _FINER_LAYERS))

    asked += [_false_positives(board or next(iter(boards.values())), components), *_explained_false_positives(boards)]

    for m in [m for name in FUTURE for m in rows(board, name, None)]:
        asked.append(ask("5", f"{m} against Grad-CAM on thin vessels", _THIN, m, m, GRADCAM))
    if absent := [name for name in FUTURE if not rows(board, name, None)]:
        asked.append(ask("5", f"{listed(absent)} against Grad-CAM on thin vessels", _THIN, "", *absent, GRADCAM))
    return sorted(asked, key=lambda q: q.name)


def _measures(
    board: Leaderboard | None, evidence: Sequence[Evidence], method: str
) -> tuple[tuple[Evidence, Sample | None], ...]:
    samples = [(e, e.read(board, method) if board is not None else None) for e in evidence]
    return tuple((e, sample) for e, sample in samples if sample is not None or not e.optional)


def rows(board: Leaderboard | None, name: str, parameter: str | None = "") -> list[str]:
    """The rows of a method.

    Args:
        board: None has no rows.
        name: of the method, without parameters.
        parameter: one that the rows must set; ``""``: rows without parameters; None: all rows.
    """
    matching = []
    for r in board.rows if board is not None else ():
        match = re.fullmatch(r"([^\[\s]+)(?:\[(.*)\])?(?: @.*)?", r.method)
        if match and match[1] == name:
            given = {p.partition("=")[0].strip() for p in (match[2] or "").split(",")}
            if parameter is None or parameter in given:
                matching.append(r.method)
    return matching


def _false_positives(board: Leaderboard, components: Sequence[Component]) -> Question:
    excess = excess_vesselness(components)
    values = np.array([excess.get(case, np.nan) for case in board.cases])
    # An image without a line has no false positive to compare. A run without any line did not measure them.
    sample = Sample(values, np.isnan(values)) if components else None
    says = lambda v: (
        f"their vesselness is {number(abs(v), bounded=False, decimals=3)} {_side(v)} "
        "than that of the same shapes laid over true negatives"
    )
    evidence = Evidence("vesselness − matched", 0, says, ("fp-lift",), lambda board, method: sample)
    statement = "False positives lie where the texture resembles vessels"
    return Question("3", statement, board.target, "", ((evidence, sample),), (GRADCAM,))


def _explained_false_positives(boards: Mapping[str, Leaderboard]) -> list[Question]:
    for target, statement in _TEXTURE.items():
        board = boards.get(target)
        measured = [(m, s) for m in rows(board, GRADCAM) if board and (s := _ERRORS.read(board, m)) and s.measured]
        if measured:
            return [Question("3b", statement, target, m, ((_ERRORS, sample),), (m,)) for m, sample in measured]
    target, statement = next(iter(_TEXTURE.items()))
    return [Question("3b", statement, target, GRADCAM, ((_ERRORS, None),), (GRADCAM,))]
