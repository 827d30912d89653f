"""Curves over images, whose map is whose, and what was lost."""

from pathlib import Path

import numpy as np
import pytest

from leaderboard.synthetic import record, stored
from xaibench.leaderboard.run_results import POINTS, Curve, Result, losses, read_results
from xaibench.record import Record


def read(tmp_path: Path, *found: Record, target: str | None = None) -> list[Result]:
    """The results of a run with these records."""
    return read_results([stored(tmp_path / "run", found)], target=target)


def with_curve(spec: str, case: str, x: list[float], y: list[float]) -> Record:
    return record(spec, case, {"srg": 0.5}, details={"srg": {"curve": {"x": x, "y": y}}})


def test_curves_of_the_same_points_are_stacked(tmp_path: Path) -> None:
    (result,) = read(tmp_path, with_curve("a", "1", [0, 1], [1, 0]), with_curve("a", "2", [0, 1], [3, 2]))
    curve = result.curve("srg", "a")
    assert curve.y.tolist() == [[1, 0], [3, 2]] and curve.mean().tolist() == [2, 1]
    assert result.curve("srg", "b") is None and result.curve("deletion", "a") is None


def test_whole_pixels_that_an_image_lacks_are_missing(tmp_path: Path) -> None:
    three = [with_curve("a", str(i), x, [float(v) for v in x]) for i, x in enumerate(([1, 2, 5], [1, 2], [2]))]
    (result,) = read(tmp_path, *three)
    curve = result.curve("srg", "a")
    assert curve.x.tolist() == [1, 2, 5]
    assert np.isnan(curve.y).tolist() == [[False] * 3, [False, False, True], [True, False, True]]
    assert curve.mean()[:2].tolist() == [1, 2] and np.isnan(curve.mean()[2])  # one of three is too few
    low, high = curve.band()
    assert low[1] == high[1] == 2 and np.isnan(low[2])


def test_other_points_are_interpolated_inside_their_range_alone(tmp_path: Path) -> None:
    (result,) = read(tmp_path, with_curve("a", "1", [0.0, 0.5], [0, 1]), with_curve("a", "2", [0.25, 1.0], [0.5, 2]))
    curve = result.curve("srg", "a")
    assert curve.x.size == POINTS
    inside = curve.x <= 0.5
    assert np.allclose(curve.y[0][inside], 2 * curve.x[inside]) and np.isnan(curve.y[0][~inside]).all()
    assert np.allclose(curve.y[1][curve.x >= 0.25], 2 * curve.x[curve.x >= 0.25])


def test_the_band_holds_the_middle_of_the_images() -> None:
    curve = Curve(np.array([0.0]), np.arange(101.0)[:, None])
    low, high = curve.band()
    assert (low[0], high[0]) == (10, 90)


def test_of_several_seeds_the_first_is_shown(tmp_path: Path) -> None:
    (result,) = read(tmp_path, *(record("a", "1", {"srg": 0.5}, seed=s) for s in (3, 0, 7)))
    found = result.record("a", "1")
    assert found is not None and found.seed == 0 and result.record("a", "2") is None


def test_losses_are_told_once_per_reason() -> None:
    found = [record("a", i, {"srg": None, "auroc-thin": value}) for i, value in (("1", "skipped"), ("2", 0.5))]
    found.append(record("b", "1", {}, status="failed", reason="boom"))
    assert [(f.status, f.reason, f.what, f.count) for f in losses(found)] == [
        ("failed", "boom", ("b",), 1),
        ("failed", "it broke", ("srg",), 2),
        ("skipped", "no such pixel", ("auroc-thin",), 1),
    ]
    assert losses([record("a", "1", {"srg": None})], wanted=lambda m: m != "srg") == []


@pytest.mark.parametrize("target", [None, "thin"])
def test_each_leaderboard_has_its_own_records(tmp_path: Path, target: str | None) -> None:
    both = [record("a", "1", {"srg": 0.5}, target=t) for t in ("thin", "vessels")]
    found = read(tmp_path, *both, target=target)
    assert [r.board.target for r in found] == ([target] if target else ["vessels", "thin"])
    assert all({r.target for r in result.records} == {result.board.target} for result in found)
