"""The false positives of a run: its ``false_positives.csv``."""

import csv
import io
import math
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xaibench.disk import gunzipped, is_there, read_bounded
from xaibench.errors import UserError, first_line
from xaibench.record.strict_json import LARGEST

_WORDS = ("dataset", "case", "model", "target")
_NUMBERS = ("pixels", "vesselness", "matched")


@dataclass(frozen=True)
class Component:
    """A connected component of the predicted pixels that are no vessel.

    Attributes:
        dataset, case, model, target: of the prediction.
        pixels: its area, px.
        vesselness: mean over its pixels.
        matched: mean over the same shape laid over true negatives; NaN if it fits nowhere.
    """

    dataset: str
    case: str
    model: str
    target: str
    pixels: float
    vesselness: float
    matched: float


def read_components(folder: Path) -> list[Component]:
    """The components of all images of a run.

    Args:
        folder: of the run, or one that was published, where the file is compressed.

    Returns:
        An empty list if the run has no such file.

    Raises:
        UserError: if the file cannot be read, or lacks a column or a number.
    """
    path = folder / "false_positives.csv"
    again = "Give the run's command again, which writes it anew."
    if not is_there(path) and is_there(packed := path.with_name(f"{path.name}.gz")):
        path, again = packed, "Get the folder anew."
    try:
        content = read_bounded(path)
        text = (gunzipped(content) if path.suffix == ".gz" else content).decode("utf-8")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        absent = [n for n in (*_WORDS, *_NUMBERS) if n not in (reader.fieldnames or ())]
        if absent:
            raise UserError(f"{path} has no column {absent[0]}.", again)
        return [_component(line, f"line {reader.line_num} of {path}", again) for line in reader]
    except FileNotFoundError:
        return []
    except (OSError, EOFError, zlib.error, ValueError, csv.Error) as error:
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
    """Per image, the vesselness of its false positives minus that of the same shapes laid over true negatives.

    The mean over components, weighted by area. Components that fit nowhere else are left out, and so are images that
    have no other.

    Args:
        components: of one dataset and model. The prediction is the same for all targets: one of them is read.
    """
    targets = {c.target for c in components}
    target = "vessels" if "vessels" in targets else min(targets, default="")
    parts: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for c in components:
        excess = c.vesselness - c.matched
        if c.target == target and math.isfinite(excess) and c.pixels > 0:
            parts[c.case].append((c.pixels, excess))
    return {case: math.fsum(w * x for w, x in part) / math.fsum(w for w, _ in part) for case, part in parts.items()}
