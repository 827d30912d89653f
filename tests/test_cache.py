"""What is remembered between processes, and that nothing goes wrong where it can't be."""

from pathlib import Path

import pytest

from xaibench import cache


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_what_was_remembered_is_recalled(home: Path) -> None:
    assert cache.recall("things", "a") is None
    cache.remember("things", "a", {"x": [1, None, float("inf")]})
    assert cache.recall("things", "a") == {"x": [1, None, float("inf")]}
    assert cache.recall("things", "b") is None and cache.recall("others", "a") is None
    assert [p.name for p in (home / "xaibench" / "things").iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["", "{", "\x00", '{"x": '])
def test_a_damaged_file_is_as_none(home: Path, text: str) -> None:
    cache.remember("things", "a", 1)
    (cache.folder("things") / "a.json").write_text(text)
    assert cache.recall("things", "a") is None
    cache.remember("things", "a", 2)
    assert cache.recall("things", "a") == 2


def test_what_is_no_json_is_not_kept(home: Path) -> None:
    cache.remember("things", "a", object())
    assert cache.recall("things", "a") is None and not (home / "xaibench").exists()


def test_without_a_place_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    cache.remember("things", "a", 1)
    assert cache.recall("things", "a") is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    cache.remember("things", "a", 1)
    assert cache.recall("things", "a") is None and list(tmp_path.iterdir()) == [file]
