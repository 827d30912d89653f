"""A published folder that somebody else wrote, or edited: records in one compressed file, read as a run's."""

import gzip

from hypothesis import example, given
from hypothesis import strategies as st

from bad_input.judge import answer, folder, within
from bad_input.test_bad_runs import CELLS, RUN, cells, dumped, raw, record_file, runs
from xaibench.errors import UserError
from xaibench.leaderboard.aggregate import read_leaderboards
from xaibench.leaderboard.comparable import require_comparable
from xaibench.record import Store
from xaibench.record.published import RECORDS

SOUND = [record_file(value) for value in CELLS]
lines = st.one_of(
    cells.map(lambda values: [record_file(value) for value in values]),
    st.lists(st.one_of(st.sampled_from(SOUND), raw), max_size=4),
)
packed = st.builds(
    lambda content, cut: gzip.compress(b"\n".join(content), 1, mtime=0)[:cut],
    lines,
    st.one_of(st.none(), st.none(), st.none(), st.integers(0, 400)),
)


@given(st.one_of(packed, raw), st.one_of(runs.map(dumped), st.just(dumped(RUN)), raw))
@example(gzip.compress(b""), b"")
@example(gzip.compress(b"\n".join(SOUND)) * 2, dumped(RUN))
@example(gzip.compress(record_file(CELLS[0] | {"map_key": "../../../../x"})), dumped(RUN))
def test_a_published_folder_of_any_content(records: bytes, run: bytes) -> None:
    with folder({RECORDS: records, "run.json": run}) as root:
        store = Store.open(root)
        if not isinstance(answer("published: records", store.scan), UserError):
            answer("published: tables", lambda: read_leaderboards([store]))
            answer("published: beside itself", lambda: require_comparable([store, store], [root, root]))
        assert sorted(p.name for p in root.iterdir()) == [RECORDS, "run.json"]


def test_a_bomb_takes_no_memory() -> None:
    with folder({RECORDS: gzip.compress(bytes(1 << 22), 9) * 1000}) as root, within(2500):
        assert isinstance(answer("published: bombs", Store.open(root).scan), UserError)
