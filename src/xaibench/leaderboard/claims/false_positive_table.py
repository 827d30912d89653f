"""The false positives of a run, read from its ``false_positives.csv``."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xaibench.disk import read_bounded
from xaibench.errors import UserError, first_line
from xaibench.record.plain import LARGEST

_WORDS = ("dataset", "case", "model", "target")
_NUMBERS = ("pixels", "vesselness", "matched")


@dataclass(frozen=True)
class Component:
    """A connected part of what was predicted where no vessel is.

    Attributes:
        dataset, case, model, target: what it is about.
        pixels: its area, px.
        vesselness: mean over its pixels.
        matched: mean over the same shape laid over true negatives; NaN where it fits in nowhere.
    """

    dataset: str
    case: str
    model: str
    target: str
    pixels: float
    vesselness: float
    matched: float


def read_components(folder: Path) -> list[Component]:
    """The components of all images of a run; none if it has no such file.

    Raises:
        UserError: if the file cannot be read, or lacks a column or a number.
    """
    path = folder / "false_positives.csv"
    again = "Give the run's command again, which writes it anew."
    try:
        text = read_bounded(path).decode("utf-8")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        absent = [n for n in (*_WORDS, *_NUMBERS) if n not in (reader.fieldnames or ())]
        if absent:
            raise UserError(f"{path} has no column {absent[0]}.", again)
        return [_component(line, f"line {reader.line_num} of {path}", again) for line in reader]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}.", again) from error


def _component(line: dict[str, str | None], where: str, again: str) -> Component:
    numbers: dict[str, float] = {}
    for name in _NUMBERS:
        try:
            numbers[name] = float(line[name] or "nan")
            if abs(numbers[name]) > LARGEST:
                raise ValueError
        except ValueError as error:
            raise UserError(f"{name} is no number but {line[name]!r} in {where}.", again) from error
    dataset, case, model, target = (line[name] or "" for name in _WORDS)
    return Component(dataset, case, model, target, **numbers)


def excess_vesselness(components: Sequence[Component]) -> dict[str, float]:
    """Per image, by how much the vesselness of its false positives exceeds that of the same shapes on true negatives.

    The mean over components, each weighted by its area; one that fits in nowhere else counts for nothing, and an image
    of which no component does is not there.

    Args:
        components: of one dataset and model. The prediction is the same for all targets, and one of them is taken.
    """
    targets = {c.target for c in components}
    target = "vessels" if "vessels" in targets else min(targets, default="")
    parts: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for c in components:
        excess = c.vesselness - c.matched
        if c.target == target and math.isfinite(excess) and c.pixels > 0:
            parts[c.case].append((c.pixels, excess))
    return {case: math.fsum(w * x for w, x in found) / math.fsum(w for w, _ in found) for case, found in parts.items()}
