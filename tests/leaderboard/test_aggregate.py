from typing import Any

import numpy as np
import pytest
import scipy.stats

from leaderboard.synthetic import aggregate, by_column, leaderboards, noisy, record, records, stored
from xaibench.errors import UserError
from xaibench.leaderboard.aggregate import read_leaderboards
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.merge import merge
from xaibench.record.manifest import Manifest

IMAGES = 8


def row(board: Leaderboard, method: str) -> dict[str, Any]:
    return dict(board.frame.set_index("method").loc[method])


def test_means_intervals_and_ranks_against_plain_loops() -> None:
    table = {f"m{i}": noisy(i / 10, i, IMAGES, 0.1) for i in range(4)}
    board = aggregate(records(table) + records({"random": noisy(0.45, 9, IMAGES)}, control=True), seed=3)
    x = np.array([table[f"m{i}"] for i in range(4)], float)

    rng = np.random.default_rng(3)
    counts = rng.multinomial(IMAGES, [1 / IMAGES] * IMAGES, size=10_000)
    for i in range(4):
        resampled = [np.repeat(x[i], c).mean() for c in counts]
        found = row(board, f"m{i}")
        assert found["srg"] == pytest.approx(sum(x[i]) / IMAGES)
        assert (found["srg_lo"], found["srg_hi"]) == pytest.approx(tuple(np.percentile(resampled, [2.5, 97.5])))
        assert found["mean_rank"] == pytest.approx(scipy.stats.rankdata(-x, axis=0)[i].mean())
    by_rank = sorted(range(4), key=lambda i: row(board, f"m{i}")["mean_rank"])
    assert list(board.frame["method"]) == [f"m{i}" for i in by_rank] + ["random"]
    assert list(board.frame["rank"][:4]) == [1, 2, 3, 4]


def test_the_columns_of_the_frame() -> None:
    both = [record("a", "01", {"srg": 0.5, "sparseness": 0.1, "seconds": 1.5, "passes": 3.0, "auroc-thin": 0.7})]
    frame = aggregate(both).frame
    metrics = [f"{m}{end}" for m in ("srg", "auroc-thin", "sparseness") for end in ("", "_lo", "_hi")]
    assert list(frame.columns) == [
        *("rank", "method", "family", "control", "coverage"),
        *metrics,
        *("mean_rank", "group", "seconds", "passes"),
    ]
    assert (frame["seconds"][0], frame["passes"][0]) == (1.5, 3)


def test_a_missing_score_leaves_the_method_unranked_and_shrinks_no_denominator() -> None:
    board = aggregate(records({"good": noisy(0.05, 1), "gap": [*noisy(0.4, 8)[:-1], None]}))
    gap = row(board, "gap")
    assert [(r.method, r.rank, r.coverage) for r in board.rows] == [("good", 1, 1.0), ("gap", None, 1.0)]
    assert np.isnan([gap["srg"], gap["srg_lo"], gap["srg_hi"], gap["mean_rank"]]).all()


def test_a_score_missing_in_another_column_costs_that_column_alone() -> None:
    every = [record("a", c, {"srg": 0.5, "deletion": d}) for c, d in (("01", 0.1), ("02", None))]
    found = row(aggregate(every), "a")
    assert found["rank"] == 1 and found["srg"] == 0.5 and np.isnan(found["deletion"])


def test_cases_that_were_asked_for_count_although_nothing_reached_them() -> None:
    asked = [Manifest(dataset="drive", cases=[f"{i:02d}" for i in range(1, 5)]), Manifest(dataset="hrf", cases=["x"])]
    board = aggregate(records({"a": [0.1, 0.2]}), manifests=asked)
    assert board.cases == ("01", "02", "03", "04")
    assert board.rows[0].coverage == 0.5 and board.rows[0].rank is None
    assert board.gaps == {"a": [("03", "not computed"), ("04", "not computed")]}


def test_controls_stand_apart_and_do_not_move_ranks() -> None:
    methods = records({"a": noisy(0.05, 1), "b": noisy(0.1, 2)})
    alone = aggregate(methods)
    board = aggregate(methods + records({"frangi": noisy(1.5, 30)}, control=True))
    assert [r.method for r in board.rows] == ["b", "a", "frangi"]
    assert board.rows[:2] == alone.rows
    assert (board.rows[2].rank, board.rows[2].group, board.rows[2].control) == (None, "", True)


def test_one_image_has_ranks_but_no_intervals() -> None:
    board = aggregate(records({"a": [0.1], "b": [0.3]}))
    assert [(r.method, r.rank) for r in board.rows] == [("b", 1), ("a", 2)]
    assert board.frame[["srg_lo", "srg_hi"]].isna().all(axis=None)
    assert board.comparison.letters is None


def test_ties_share_a_rank() -> None:
    board = aggregate(records({"a": [0.5, 0.1], "b": [0.1, 0.5], "c": [0.0, 0.0]}))
    assert [(r.method, r.rank, r.mean_rank) for r in board.rows] == [("a", 1, 1.5), ("b", 1, 1.5), ("c", 3, 3.0)]


@pytest.mark.parametrize(("metric", "first"), [("insertion", "high"), ("deletion", "low"), ("thin-gap", "near")])
def test_without_srg_the_first_main_column_ranks_by_its_better_end(metric: str, first: str) -> None:
    board = aggregate(records({"high": [0.9, 0.9], "low": [-0.8, -0.8], "near": [0.1, -0.1]}, metric))
    assert board.primary is not None and board.primary.name == metric
    assert board.rows[0].method == first


def test_a_column_without_a_better_end_ranks_nothing() -> None:
    board = aggregate(records({"a": [0.1, 0.2], "b": [0.1, 0.3]}, "sparseness"))
    assert board.primary is None and {r.rank for r in board.rows} == {None}


def test_two_versions_of_a_method_stand_side_by_side() -> None:
    every = records({"a": [0.1, 0.2]}) + records({"a": [0.3, 0.4]}, version="0.2.0")
    assert [r.method for r in aggregate(every).rows] == ["a @xaibench 0.2.0", "a @xaibench 0.1.0"]


def test_targets_are_apart() -> None:
    every = records({"a": [0.1, 0.2], "b": [0.3, 0.4]})
    every += records({"a": [0.5, 0.7], "c": [0.9, 0.9]}, target="thin")
    assert [b.target for b in leaderboards(every)] == ["vessels", "thin"]
    board = aggregate(every)
    assert board.target == "vessels" and [c.name for c in board.columns] == ["srg"]
    thin = aggregate(every, target="thin")
    assert [r.method for r in thin.rows] == ["c", "a"] and [c.name for c in thin.columns] == ["srg"]
    with pytest.raises(UserError, match="'thick'") as error:
        aggregate(every, target="thick")
    assert "thin, vessels" in error.value.hint


def test_merging_prefers_what_is_ok_and_joins_scores() -> None:
    failed = record("a", "01", {}, status="failed", reason="x")
    one = record("a", "01", {"srg": 0.1, "deletion": None})
    two = record("a", "01", {"deletion": 0.2, "insertion": 0.3})
    for order in ([failed, one, two], [two, one, failed], [one, failed, two]):
        (merged,) = merge([r] for r in order)
        assert {s.metric: s.value for s in merged.scores} == {"srg": 0.1, "deletion": 0.2, "insertion": 0.3}
        assert merged.status == "ok"


def test_several_stores_are_read_together(tmp_path: Any) -> None:
    stores = [stored(tmp_path / method, records({method: [0.1]})) for method in "ab"]
    for store in stores:
        store.write_run(Manifest(dataset="drive", cases=["01", "02"]))
    (board,) = read_leaderboards(stores)
    assert board.cases == ("01", "02") and {r.method for r in board.rows} == {"a", "b"}


def test_a_damaged_record_is_reported_and_counts_as_missing(tmp_path: Any) -> None:
    store = stored(tmp_path, records({"a": [0.1, 0.2], "b": [0.2, 0.3]}))
    lost = next(r for r in store.records() if (r.method, r.case) == ("a", "02"))
    store.cell_path(lost.map_key).write_text("{")
    said: list[Any] = []
    (board,) = read_leaderboards([store], report=lambda path, reason: said.append((path, reason)))
    assert [path for path, _ in said] == [store.cell_path(lost.map_key)] and said[0][1]
    assert board.gaps == {"a": [("02", "not computed")]} and len(board.cases) == 2


def test_agreement_turns_the_better_end_up() -> None:
    means = {"srg": [0.1, 0.2, 0.3], "deletion": [-0.1, -0.2, -0.3], "insertion": [0.3, 0.2, 0.1]}
    board = aggregate([*by_column(means), record("frangi", "01", dict.fromkeys(means, 0.9), control=True)])
    expected = {("srg", "deletion"): 1.0, ("srg", "insertion"): -1.0, ("deletion", "insertion"): -1.0}
    assert board.agreement(board.columns) == expected
