"""Runs are taken together only where a name means the same in all of them."""

from pathlib import Path
from typing import Any

import pytest

from leaderboard.synthetic import record, stored
from xaibench.errors import UserError
from xaibench.leaderboard.comparable import require_comparable
from xaibench.record import Store
from xaibench.record.manifest import Manifest


def run(root: Path, method: str, versions: dict[str, str] | None = None, **changed: Any) -> Store:
    content = changed.pop("case_digest", "digest")
    cases = ("01", "02")
    store = stored(root, [record(method, c, {"srg": 0.5}, case_digest=f"{content}-{c}", **changed) for c in cases])
    store.write_run(Manifest(dataset="drive", cases=[*cases], metric_versions=versions or {}))
    return store


def together(*stores: Store) -> None:
    require_comparable(stores, [store.root for store in stores])


def test_the_same_pictures_weights_and_metrics_go_together(tmp_path: Path) -> None:
    published = run(tmp_path / "published", "gradcam", {"srg": "xaibench 1", "lost": "xaibench 1"})
    mine = run(tmp_path / "mine", "mine", {"srg": "xaibench 1", "other": "mine 3"})
    together(published, mine)
    together(published, published)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"case_digest": "another"}, "image 01 of drive is another one (another-01, not digest-01)"),
        ({"weights_digest": "fed"}, "network unet-drive is another one (fed, not 0123456789abcdef)"),
        ({"versions": {"srg": "xaibench 2"}}, "metric srg is another one (xaibench 2, not xaibench 1)"),
    ],
)
def test_what_is_not_the_same_is_named(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    published = run(tmp_path / "published", "gradcam", {"srg": "xaibench 1"})
    mine = run(tmp_path / "mine", "mine", **changed)
    with pytest.raises(UserError) as error:
        together(published, mine)
    assert str(error.value).startswith(f"{mine.root} cannot be compared with {published.root}: the {words}.")


def test_other_data_and_other_networks_are_tables_of_their_own(tmp_path: Path) -> None:
    other = {"case_digest": "another", "weights_digest": "fed", "model": "segresnet", "dataset": "chase"}
    together(run(tmp_path / "a", "gradcam"), run(tmp_path / "b", "gradcam", **other))
