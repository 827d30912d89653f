import math
from pathlib import Path

import pytest

from leaderboard.synthetic import COLUMNS, component, write_csv
from xaibench.errors import UserError
from xaibench.leaderboard.claims.false_positive_table import excess_vesselness, read_components


def test_the_excess_of_vesselness_is_weighted_by_area() -> None:
    found = [component("01", 0.5, 0.3, 30), component("01", 0.3, 0.3, 10), component("01", 0.9, math.nan, 99)]
    found += [component("02", 0.1, 0.4), component("03", 0.1, math.nan), component("01", 9.0, 0.0, target="thin")]
    assert excess_vesselness(found) == pytest.approx({"01": 0.15, "02": -0.3})
    assert excess_vesselness([component("01", 0.2, 0.1, target="thin")]) == pytest.approx({"01": 0.1})
    assert excess_vesselness([]) == {}


def test_the_file_of_false_positives(tmp_path: Path) -> None:
    assert read_components(tmp_path) == []
    about = ["drive", "01", "unet-drive", "vessels", 0, 0, 5, 6]
    write_csv(tmp_path, [[*about, 12, 0.4, 0.3, 0.9, 1.2], [*about, 7, 0.4, "", "", 1.2]])
    first, second = read_components(tmp_path)
    assert first == component("01", 0.4, 0.3, 12) and math.isnan(second.matched)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"dataset,case\n", "has no column model"),
        (b"", "has no column dataset"),
        (b"\xff\xfe\x00", "cannot be read"),
        (",".join(COLUMNS).encode() + b"\nd,1,m,t,0,0,1,1,many,1,1\n", "pixels is no number but 'many' in line 2 of"),
    ],
)
def test_a_damaged_file_of_false_positives_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "false_positives.csv").write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read_components(tmp_path)
    assert "false_positives.csv" in error.value.message
