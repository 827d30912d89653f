"""The main columns of edition one: labels, explanations and places for runs whose manifest does not declare them."""

import re

from xaibench.record.manifest import ColumnInfo

_STEPS = re.compile(r"\[steps=\d+\]$")

# The explanations, in the order of the main table.
_MAIN = {
    "srg": "Does the network really use what the map marks? Area under its answer while the least attributed pixels "
    "are removed first, less that while the most attributed are; 0 is chance.",
    "deletion": "What the network still finds while the most attributed pixels are removed first.",
    "insertion": "What the network finds again while the most attributed pixels are put back first.",
    "auroc-thin": "Does the map lie on thin vessels rather than on the background? .5 is chance.",
    "auroc-thick": "Does the map lie on thick vessels rather than on the background? .5 is chance.",
    "lift-thin": "How many times more attribution thin vessels hold than their area would by chance; 1 is chance.",
    "lift-thick": "How many times more attribution thick vessels hold than their area would by chance; 1 is chance.",
    "thin-gap": "Does it favour thick (+) or thin (−) vessels? +1 is twice as much on thick ones.",
    "thin-gap-matched": "The same between thin and thick vessels of like contrast.",
    "srg-thin": "The same for maps that explain the thin vessels alone.",
    "srg-thick": "The same for maps that explain the thick vessels alone.",
    "fp-lift": "Attribution on false positives ÷ that on others that look like vessels.",
}
_ALWAYS_SHOWN = ("srg", "auroc-thin", "lift-thin", "thin-gap")  # also in a narrow terminal
MAIN_COLUMNS = tuple(_MAIN)
_DEFAULTS = {
    name: ColumnInfo(explanation=explanation, main=place, narrow=name not in _ALWAYS_SHOWN)
    for place, (name, explanation) in enumerate(_MAIN.items())
}


def main_stem(name: str) -> str:
    """The name of a column without the number of its steps, which does not make it another measure.

    Example:
        >>> main_stem("srg[steps=10]"), main_stem("srg[fill=blur]")
        ('srg', 'srg[fill=blur]')
    """
    return _STEPS.sub("", name)


def default_info(name: str) -> ColumnInfo:
    """What edition one knows of the column of that name, whatever the number of its steps."""
    return _DEFAULTS.get(main_stem(name), ColumnInfo())
