"""What stands side by side is what each table says."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from leaderboard.synthetic import records

from xaibench.leaderboard.aggregate import aggregate
from xaibench.leaderboard.claims.judge import Claim, judge


@pytest.fixture
def networks(beside: Callable[[str], ModuleType]) -> ModuleType:
    return beside("networks")


def test_a_column_of_two_tables_stands_side_by_side(networks: ModuleType) -> None:
    control = records({"prediction": [0.5] * 6}, control=True)
    one = aggregate([*records({"low": [0.1] * 6, "high": [0.9] * 6, "alone": [0.3] * 6}), *control])
    other = aggregate(
        [*records({"low": [0.8] * 3, "high": [0.2] * 3}), *records({"prediction": [0.4] * 3}, control=True)]
    )
    assert networks.side_by_side({"one": one, "other": other}, "srg") == [
        "| | one (6) | other (3) |",
        "| --- | --: | --: |",
        "| high | .90 [.90, .90] | .20 [.20, .20] |",
        "| low | .10 [.10, .10] | .80 [.80, .80] |",
        "| *prediction* | .50 [.50, .50] | .40 [.40, .40] |",
    ]
    with pytest.raises(ValueError, match="one lacks auroc-thin"):
        networks.side_by_side({"one": one, "other": other}, "auroc-thin")


def test_verdicts_stand_side_by_side(networks: ModuleType) -> None:
    def judged(lift: float) -> list[Claim]:
        return judge([aggregate(records({"gradcam": [lift] * 8}, "fp-lift", target="false-positives"))])

    found = {"one": judged(2.0), "other": judged(0.5), "none": []}
    assert networks.verdicts(found) == [
        "| claim | method | measure | one | other | none |",
        "| :-- | :-- | :-- | :-- | :-- | :-- |",
        "| 3b | gradcam | fp-lift, explaining false-positives "
        "| 2.00 [2.00, 2.00], p .008: supported | .50 [.50, .50], p .008: not supported |  |",
    ]


def test_means_are_of_methods_with_all_scores(networks: ModuleType) -> None:
    scores = {"one": [0.2, 0.4], "gap": [0.2, None]}
    table = aggregate([*records(scores), *records({"random": [0.1, 0.1]}, control=True)])
    assert networks.means(table, "srg") == {"one": pytest.approx(0.3)}
