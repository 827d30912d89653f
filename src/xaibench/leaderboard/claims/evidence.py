"""The founding paper's claims about Grad-CAM, and the evidence that a run has on each.

1. Grad-CAM concentrates on high-contrast vessels.
2. It is less informative for thin vessels; (b) also at equal contrast; (c) also at finer layers.
3. False positives lie where the texture resembles vessels; (b) and their explanation shows that texture.
4. It agrees with the main vessels.
5. SHAP and LIME, the paper's future work, are better or worse than Grad-CAM on thin vessels.
"""

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
_TURNED = "turned"


@dataclass(frozen=True, eq=False)
class Evidence:
    """A number per image that speaks on a claim: a metric's score, or its difference from another one.

    Attributes:
        metric: the score that is read.
        says: the mean as part of a sentence.
        against: the value that the mean exceeds if the claim holds.
        minus: what is subtracted: ``"turned"`` (the same map's mean score against turned vessels), ``"gradcam"`` (the
            score of Grad-CAM with its default parameters), or another metric; empty for the score itself.
        heading: of its line, if it is not made of metric and minus.
    """

    metric: str
    says: Callable[[float], str]
    against: float = 0
    minus: str = ""
    heading: str = ""

    @property
    def name(self) -> str:
        """The heading of its line."""
        return self.heading or f"{self.metric} − {self.minus}".removesuffix(" − ")

    @property
    def metrics(self) -> list[str]:
        """The metrics to run for it."""
        return [name for name in (self.metric, self.minus) if name not in ("", _TURNED, GRADCAM)]

    def read(self, board: Leaderboard, method: str) -> Sample | None:
        """The numbers of a row; None if the leaderboard lacks them."""
        sample = _sample(board, method, self.metric)
        if sample is None or not self.minus:
            return sample
        if self.minus == _TURNED:
            chance = board.turned(self.metric, [r.method for r in board.rows].index(method))
            absent = np.isnan(chance)
            return None if absent.all() else sample - Sample(chance, absent)
        gradcam = next(iter(rows(board, GRADCAM)), "")
        other = _sample(board, *((gradcam, self.metric) if self.minus == GRADCAM else (method, self.minus)))
        # A difference from something that was not measured is not measured, even if the other side was skipped.
        return sample - other if other is not None and sample.measured and other.measured else None


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


def _more(v: float, *, bounded: bool = True, decimals: int = 2) -> str:
    return f"{number(abs(v), bounded=bounded, decimals=decimals)} {'higher' if v > 0 else 'lower'}"


def _ratio(v: float) -> str:
    return f"a pixel of a thick vessel holds {number(2**v)} × the attribution of one of a thin vessel"


def _ratio_to_turned(v: float) -> str:
    return f"that ratio is {number(2**v)} × the one for vessels turned elsewhere"


_GAPS = (Evidence("thin-gap", _ratio), Evidence("thin-gap", _ratio_to_turned, minus=_TURNED))
_MATCHED_GAPS = (
    Evidence("thin-gap-matched", lambda v: f"{_ratio(v)} of the same contrast"),
    Evidence("thin-gap-matched", _ratio_to_turned, minus=_TURNED),
)
_THICK_LESS_THIN = Evidence(
    "auroc-thick",
    lambda v: f"its AUROC on thick vessels is {_more(v)} than on thin ones",
    minus="auroc-thin",
    heading="auroc thick − thin",
)
_CONTRAST = (
    Evidence(
        "contrast-response",
        lambda v: f"over vessel segments attribution and contrast have a rank correlation of {number(v)}",
    ),
    Evidence("contrast-response", lambda v: f"that is {_more(v)} than for vessels turned elsewhere", minus=_TURNED),
)
_THICK = (
    Evidence("auroc-thick", lambda v: f"its AUROC on thick vessels is {number(v)} (chance .5)", 0.5),
    Evidence("lift-thick", lambda v: f"a pixel of a thick vessel holds {number(v)} × the average attribution", 1),
)
_ERRORS = Evidence(
    "fp-lift",
    lambda v: f"a pixel of a false positive holds {number(v)} × the attribution of others that look like vessels",
    1,
)
_VESSELNESS = Evidence(
    "fp-lift",
    lambda v: (
        f"their vesselness is {_more(v, bounded=False, decimals=3)} "
        "than that of the same shapes laid over true negatives"
    ),
    heading="vesselness − matched",
)
_THIN = (
    Evidence("auroc-thin", lambda v: f"its AUROC on thin vessels is {_more(v)} than Grad-CAM's", minus=GRADCAM),
    Evidence("lift-thin", lambda v: f"its lift on thin vessels is {_more(v)} than Grad-CAM's", minus=GRADCAM),
)
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
        samples = [(e, e.read(board, method) if board is not None else None) for e in evidence]
        # A map's own chance is left out, instead of reported as missing, if no image has it.
        measures = tuple((e, sample) for e, sample in samples if sample is not None or e.minus != _TURNED)
        return Question(name, statement, "vessels", method, measures, methods or (method,))

    plain = rows(board, GRADCAM) or [GRADCAM]
    asked = [ask(name, statement, evidence, m) for name, statement, evidence in _OF_GRADCAM for m in plain]

    at_layers = rows(board, GRADCAM, "layer")
    for m in at_layers:
        layer = m.partition("layer=")[2].partition("]")[0].partition(",")[0]
        asked.append(ask("2c", f"{_LESS_ON_THIN} also at layer {layer}", (*_GAPS, *_MATCHED_GAPS), m))
    if not at_layers:
        missing = ((_GAPS[0], None), (_MATCHED_GAPS[0], None))
        statement = f"{_LESS_ON_THIN} also at finer layers"
        asked.append(Question("2c", statement, "vessels", GRADCAM, missing, _FINER_LAYERS))

    asked += [_false_positives(board or next(iter(boards.values())), components), *_explained_false_positives(boards)]

    for m in [m for name in FUTURE for m in rows(board, name, None)]:
        asked.append(ask("5", f"{m} against Grad-CAM on thin vessels", _THIN, m, m, GRADCAM))
    if absent := [name for name in FUTURE if not rows(board, name, None)]:
        asked.append(ask("5", f"{listed(absent)} against Grad-CAM on thin vessels", _THIN, "", *absent, GRADCAM))
    return sorted(asked, key=lambda q: q.name)


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
    statement = "False positives lie where the texture resembles vessels"
    return Question("3", statement, board.target, "", ((_VESSELNESS, sample),), (GRADCAM,))


def _explained_false_positives(boards: Mapping[str, Leaderboard]) -> list[Question]:
    for target, statement in _TEXTURE.items():
        board = boards.get(target)
        measured = [(m, s) for m in rows(board, GRADCAM) if board and (s := _ERRORS.read(board, m)) and s.measured]
        if measured:
            return [Question("3b", statement, target, m, ((_ERRORS, sample),), (m,)) for m, sample in measured]
    target, statement = next(iter(_TEXTURE.items()))
    return [Question("3b", statement, target, GRADCAM, ((_ERRORS, None),), (GRADCAM,))]
