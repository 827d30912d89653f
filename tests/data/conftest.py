"""Tiny datasets on disk, and where the real ones are."""

import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from layouts import MAKE, Make

from xaibench.registry import entry_points


@pytest.fixture
def make() -> Make:
    return MAKE


@pytest.fixture
def dataset_points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """The entry points of the built-in data sets, to which a test adds its own; there are no other plugins."""
    points = [*entry_points.entry_points(group="xaibench.datasets")]
    monkeypatch.setattr(entry_points, "entry_points", lambda group: points if group == "xaibench.datasets" else [])
    entry_points.points_of.cache_clear()
    yield points
    entry_points.points_of.cache_clear()


@pytest.fixture(scope="session")
def real_drive() -> Path:
    """The real DRIVE, with test labels."""
    place = os.environ.get("XAIBENCH_DRIVE", "")
    if not place or not (Path(place) / "test" / "1st_manual").is_dir():
        pytest.skip("needs DRIVE, unpacked and with test labels: set XAIBENCH_DRIVE")
    return Path(place)


@pytest.fixture(scope="session")
def real_chase() -> Path:
    """The real CHASE_DB1."""
    place = Path(__file__).parents[3] / "shared" / "data" / "CHASE_DB1"
    if not place.is_dir():
        pytest.skip("needs CHASE_DB1 in ../shared/data beside the repository")
    return place
