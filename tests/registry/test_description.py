"""Descriptions of plugins, and when they are read from the cache."""

import json
import sys
from pathlib import Path
from unittest.mock import Mock, call

import pytest

from xaibench import registry
from xaibench.registry import description
from xaibench.registry.description import describe, descriptions


def test_a_paper_that_the_bibliography_does_not_list_is_named_as_the_plugin_does() -> None:
    own = registry.explainer("own", family="cam", paper="Nobody 2031")(lambda scorer, image, *, rng: image[0])
    about = describe(own)
    assert about["paper"] == "Nobody 2031" and about["key"] == about["url"] == ""


@pytest.mark.parametrize("kind", registry.KINDS)
def test_descriptions_are_cached_until_a_package_changes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = descriptions(kind)
    monkeypatch.setattr(description, "available", lambda kind: pytest.fail("imported"))
    assert descriptions(kind) == (json.loads(json.dumps(first[0])), {})
    monkeypatch.setattr(description, "available", lambda kind: ([], {}))
    points = registry.registered(kind)
    monkeypatch.setattr(description, "registered", lambda kind: [*points, ("new", "new_package:it", "new 1.0")])
    assert descriptions(kind) == ([], {})


def test_nothing_is_cached_while_a_plugin_fails_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    available = Mock(return_value=([], {"it": "it fails"}))
    monkeypatch.setattr(description, "registered", lambda kind: [("it", "no_such_package:it", "made-up 1.0")])
    monkeypatch.setattr(description, "available", available)
    assert [descriptions("explainer") for _ in range(2)] == [([], {"it": "it fails"})] * 2
    assert available.call_args_list == [call("explainer")] * 2


def test_a_file_that_changes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "made_up_package"
    package.mkdir()
    (package / "__init__.py").write_text("1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(description, "registered", lambda kind: [("it", "made_up_package.part:it", "made-up 1.0")])
    stamps = [description._stamp("explainer")]
    for name, text in (("__init__.py", "22"), ("part.py", "3"), ("data.txt", "4")):
        (package / name).write_text(text)
        stamps.append(description._stamp("explainer"))
    assert len(set(stamps)) == 4 and description._stamp("explainer") == stamps[-1]
    assert "made_up_package" not in sys.modules
    monkeypatch.setattr(description, "registered", lambda kind: [("it", "no_such_package:it", "made-up 1.0")])
    assert description._stamp("explainer") == description._stamp("explainer")
