"""Plugins that fail, that skip, and that are registered for one test: ``cli.unusual:boom``."""

from typing import Any

from xaibench import Score, Skipped, explainer, metric

ABSENT = "a_module_that_is_not_there:x"  # an entry point that does not import


@explainer("boom", family="cam")
def boom(scorer: Any, image: Any) -> Any:
    """It fails."""
    raise RuntimeError("no such thing as a map")


@explainer("picky", family="cam")
def picky(scorer: Any, image: Any) -> Any:
    """It cannot work."""
    raise Skipped("the moon is full")


EXPLANATION = "The share of the map in its highest pixel."
SHOWN = {"label": "peak", "main": 4, "narrow": False, "explanation": EXPLANATION}


@metric("peak-share", family="shape", better="higher", range=(0, 1), **SHOWN)
def peak_share(attribution: Any, case: Any) -> Score:
    size = abs(attribution)
    return Score(float(size.max() / size.sum()))
