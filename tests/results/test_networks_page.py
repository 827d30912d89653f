"""``networks.md``: several tables side by side."""

from types import ModuleType

import pytest
from leaderboard.synthetic import aggregate, records, tabulate

from xaibench.leaderboard.claims.judge import Claim, judge

SCRIPT = "networks"


def test_a_column_of_two_tables_side_by_side(script: ModuleType) -> None:
    one = tabulate({"low": [0.1] * 6, "high": [0.9] * 6, "alone": [0.3] * 6}, {"prediction": [0.5] * 6})
    other = tabulate({"low": [0.8] * 3, "high": [0.2] * 3}, {"prediction": [0.4] * 3})
    assert script.side_by_side({"one": one, "other": other}, "srg") == [
        "| | one (6) | other (3) |",
        "| --- | --: | --: |",
        "| high | .90 [.90, .90] | .20 [.20, .20] |",
        "| low | .10 [.10, .10] | .80 [.80, .80] |",
        "| *prediction* | .50 [.50, .50] | .40 [.40, .40] |",
    ]
    with pytest.raises(ValueError, match="one lacks auroc-thin"):
        script.side_by_side({"one": one, "other": other}, "auroc-thin")


def test_verdicts_side_by_side(script: ModuleType) -> None:
    def judged(lift: float) -> list[Claim]:
        return judge([aggregate(records({"gradcam": [lift] * 8}, "fp-lift", target="false-positives"))])

    assert script.verdict_table({"one": judged(2.0), "other": judged(0.5), "none": []}) == [
        "| claim | method | measure | one | other | none |",
        "| :-- | :-- | :-- | :-- | :-- | :-- |",
        "| 3b | gradcam | fp-lift, explaining false-positives "
        "| 2.00 [2.00, 2.00], p .008: supported | .50 [.50, .50], p .008: not supported |  |",
    ]


def test_means_leave_out_controls_and_incomplete_methods(script: ModuleType) -> None:
    table = tabulate({"one": [0.2, 0.4], "gap": [0.2, None]}, {"random": [0.1, 0.1]})
    assert script.mean_by_method(table, "srg") == {"one": pytest.approx(0.3)}
