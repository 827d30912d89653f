"""Which numbers of a run speak on which claim about Grad-CAM.

1. Grad-CAM concentrates on high-contrast vessels.
2. It is less informative for thin vessels; (b) also once their contrast is matched; (c) also at finer layers.
3. False positives lie where the texture resembles vessels; (b) and their explanation shows that texture.
4. It agrees with the main vessels.
5. SHAP and LIME, the founding paper's future work, are better or worse than it on thin vessels.
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
_LAYERS = ("gradcam[layer=decoder-1/4]", "gradcam[layer=decoder-1/2]")  # finer ones of the bundled networks


@dataclass(frozen=True, eq=False)
class Measure:
    """One number per image that speaks on a claim.

    Attributes:
        name: as shown.
        against: the value that the claim says it exceeds.
        says: its mean in words.
        metrics: what must be run for it.
        sample: the numbers, None if they are not in the run.
    """

    name: str
    against: float
    says: Callable[[float], str]
    metrics: tuple[str, ...]
    sample: Sample | None


@dataclass(frozen=True, eq=False)
class Question:
    """A claim with the measures that speak on it, before it is judged.

    Attributes:
        name: ``"1"``, ``"2"``, ``"2b"`` …
        statement: what is claimed.
        target: of the maps.
        method: whose maps, as shown.
        measures: at least one.
        methods: what must be run for them.
    """

    name: str
    statement: str
    target: str
    method: str
    measures: tuple[Measure, ...]
    methods: tuple[str, ...]


_Of = Callable[[Leaderboard | None, str], Measure | None]  # a board and a method's row to a measure, if there is one


def _sample(board: Leaderboard | None, method: str, metric: str) -> Sample | None:
    column = board.column(metric) if board is not None else None
    if board is None or column is None:
        return None
    place = next((i for i, r in enumerate(board.rows) if r.method == method), None)
    if place is None:
        return None
    return Sample(board.scores(column)[place], board.skipped[board.columns.index(column)][place])


def _less(a: Sample | None, b: Sample | None) -> Sample | None:
    # A difference with what was not measured at all is itself not measured, even where the other was skipped.
    return a - b if a is not None and b is not None and a.measured and b.measured else None


def _column(metric: str, against: float, says: Callable[[float], str]) -> Callable[[Leaderboard | None, str], Measure]:
    return lambda board, method: Measure(metric, against, says, (metric,), _sample(board, method, metric))


def _beyond_chance(metric: str, says: Callable[[float], str]) -> _Of:
    """By how much a score exceeds the same map's mean score against turned vessels; none where no image has these."""

    def of(board: Leaderboard | None, method: str) -> Measure | None:
        sample = _sample(board, method, metric)
        if board is None or sample is None:
            return None
        chance = board.turned(metric, [r.method for r in board.rows].index(method))
        absent = np.isnan(chance)
        if absent.all():
            return None
        return Measure(f"{metric} − turned", 0, says, (metric,), sample - Sample(chance, absent))

    return of


def _thick_less_thin(board: Leaderboard | None, method: str) -> Measure:
    metrics = ("auroc-thick", "auroc-thin")
    says = lambda v: f"its AUROC on thick vessels is {_more(v)} than on thin ones"
    return Measure("auroc thick − thin", 0, says, metrics, _less(*(_sample(board, method, m) for m in metrics)))


def _less_gradcam(metric: str, noun: str) -> Callable[[Leaderboard | None, str], Measure]:
    def of(board: Leaderboard | None, method: str) -> Measure:
        plain = rows(board, GRADCAM)
        sample = _less(_sample(board, method, metric), _sample(board, plain[0], metric)) if plain else None
        says = lambda v: f"its {noun} thin vessels is {_more(v)} than Grad-CAM's"
        return Measure(f"{metric} − gradcam", 0, says, (metric,), sample)

    return of


def _more(v: float) -> str:
    return f"{number(abs(v))} {_side(v)}"


def _side(v: float) -> str:
    return "higher" if v > 0 else "lower"


_GAP = _column(
    "thin-gap", 0, lambda v: f"a pixel of a thick vessel holds {number(2**v)} × the attribution of one of a thin vessel"
)
_MATCHED_GAP = _column(
    "thin-gap-matched",
    0,
    lambda v: (
        f"a pixel of a thick vessel holds {number(2**v)} × the attribution of one of a thin vessel of the same contrast"
    ),
)
_RATIO = lambda v: f"that ratio is {number(2**v)} × the one for vessels turned elsewhere"
_GAPS = (_GAP, _beyond_chance("thin-gap", _RATIO))
_MATCHED_GAPS = (_MATCHED_GAP, _beyond_chance("thin-gap-matched", _RATIO))
_ERRORS = _column(
    "fp-lift",
    1,
    lambda v: f"a pixel of a false positive holds {number(v)} × the attribution of others that look like vessels",
)
_OF_GRADCAM: tuple[tuple[str, str, tuple[_Of, ...]], ...] = (
    (
        *("1", "Grad-CAM concentrates on high-contrast vessels"),
        (
            _column(
                "contrast-response",
                0,
                lambda v: f"over vessel segments attribution and contrast have a rank correlation of {number(v)}",
            ),
            _beyond_chance("contrast-response", lambda v: f"that is {_more(v)} than for vessels turned elsewhere"),
        ),
    ),
    ("2", "Grad-CAM is less informative for thin vessels", (*_GAPS, _thick_less_thin)),
    ("2b", "Grad-CAM is less informative for thin vessels also once their contrast is matched", _MATCHED_GAPS),
    (
        *("4", "Grad-CAM agrees with the main vessels"),
        (
            _column("auroc-thick", 0.5, lambda v: f"its AUROC on thick vessels is {number(v)} (chance .5)"),
            _column(
                "lift-thick", 1, lambda v: f"a pixel of a thick vessel holds {number(v)} × the average attribution"
            ),
        ),
    ),
)
_FINER = (*_GAPS, *_MATCHED_GAPS)
_THIN = (_less_gradcam("auroc-thin", "AUROC on"), _less_gradcam("lift-thin", "lift on"))


def questions(boards: Mapping[str, Leaderboard], components: Sequence[Component]) -> list[Question]:
    """All claims with what the run has on them, in their order.

    Args:
        boards: by target, of one dataset, split and model.
        components: the false positives of the same.
    """
    board = boards.get("vessels")
    plain = rows(board, GRADCAM) or [GRADCAM]

    def ask(name: str, statement: str, method: str, measures: Sequence[_Of], *more: str) -> Question:
        return Question(name, statement, "vessels", method, _measured(measures, board, method), (method, *more))

    found = [ask(name, text, m, measures) for name, text, measures in _OF_GRADCAM for m in plain]
    for m in rows(board, GRADCAM, "layer"):
        layer = m.partition("layer=")[2].partition("]")[0].partition(",")[0]
        found.append(ask("2c", f"Grad-CAM is less informative for thin vessels also at layer {layer}", m, _FINER))
    if not any(q.name == "2c" for q in found):
        measures = _measured(_FINER, None, GRADCAM)
        text = "Grad-CAM is less informative for thin vessels also at finer layers"
        found.append(Question("2c", text, "vessels", GRADCAM, measures, _LAYERS))
    found += [_texture(board or next(iter(boards.values())), components), *_explained(boards)]
    absent = [name for name in FUTURE if not rows(board, name, None)]
    for m in [m for name in FUTURE for m in rows(board, name, None)]:
        found.append(ask("5", f"{m} against Grad-CAM on thin vessels", m, _THIN, GRADCAM))
    if absent:
        text = f"{listed(absent)} against Grad-CAM on thin vessels"
        measures = _measured(_THIN, None, "")
        found.append(Question("5", text, "vessels", "", measures, (*absent, GRADCAM)))
    return sorted(found, key=lambda q: q.name)


def _measured(measures: Sequence[_Of], board: Leaderboard | None, method: str) -> tuple[Measure, ...]:
    return tuple(m for of in measures if (m := of(board, method)) is not None)


def rows(board: Leaderboard | None, name: str, parameter: str | None = "") -> list[str]:
    """The rows of a method: without parameters, with the one of that name, or with any at all for None."""
    found = []
    for r in board.rows if board is not None else ():
        match = re.fullmatch(r"([^\[\s]+)(?:\[(.*)\])?(?: @.*)?", r.method)
        if match and match[1] == name:
            given = {p.partition("=")[0].strip() for p in (match[2] or "").split(",")}
            if parameter is None or parameter in given:
                found.append(r.method)
    return found


def _texture(board: Leaderboard, components: Sequence[Component]) -> Question:
    excess = excess_vesselness(components)
    values = np.array([excess.get(case, np.nan) for case in board.cases])
    # What has no line has no false positive that could be compared; without any line nobody has looked.
    sample = Sample(values, np.isnan(values)) if components else None
    says = lambda v: (
        f"their vesselness is {number(abs(v), bounded=False, decimals=3)} {_side(v)} "
        "than that of the same shapes laid over true negatives"
    )
    measure = Measure("vesselness − matched", 0, says, ("fp-lift",), sample)
    text = "False positives lie where the texture resembles vessels"
    return Question("3", text, board.target, "", (measure,), (GRADCAM,))


def _explained(boards: Mapping[str, Leaderboard]) -> list[Question]:
    texts = {
        "false-positives": "Grad-CAM of false positives shows that texture",
        "vessels": "Grad-CAM of what is called vessel shows that texture at false positives",
    }
    for target, text in texts.items():
        board = boards.get(target)
        asked = [(m, _ERRORS(board, m)) for m in rows(board, GRADCAM)]
        found = [(m, e) for m, e in asked if e.sample is not None and e.sample.measured]
        if found:
            return [Question("3b", text, target, m, (e,), (m,)) for m, e in found]
    target, text = next(iter(texts.items()))
    return [Question("3b", text, target, GRADCAM, (_ERRORS(None, GRADCAM),), (GRADCAM,))]
