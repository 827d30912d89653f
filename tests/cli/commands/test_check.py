import sys

import pytest

from cli.said import Register, Run, Terminal
from cli.unusual import ABSENT
from xaibench.conformance import check_names


def test_what_conforms_is_told_in_a_table(xaibench: Run) -> None:
    said = xaibench("check", "--quick", "uniform", "gradcam[layer=decoder-1/2]")
    assert said.code == 0 and not said.err  # stderr is no terminal
    uniform, found, gradcam = said.out.partition("\n\ngradcam[layer=decoder-1/2]: ")
    assert found and uniform.startswith("uniform: ")
    for table in (uniform, gradcam):
        assert "failed" not in table
        for name in check_names(quick=True):
            assert any(line.startswith(f"{name} ") for line in table.splitlines())
    assert "a control explains nothing" in uniform


def test_what_does_not_conform_is_told_and_is_exit_code_3(xaibench: Run, unusual: None) -> None:
    said = xaibench("check", "--quick", "boom", "uniform")
    assert said.code == 3
    assert "RuntimeError: no such thing as a map (unusual.py:" in said.out and "uniform: " in said.out
    assert "boom failed. Mend and check again with: xaibench check --quick boom uniform" in said.err


def test_as_json(xaibench: Run, unusual: None) -> None:
    said = xaibench("check", "--quick", "--json", "picky", "uniform")
    found = said.json
    assert said.code == 3 and found["ok"] is False
    picky, uniform = found["checked"]
    assert (picky["kind"], picky["name"], picky["ok"]) == ("explainer", "picky", False)
    assert (uniform["name"], uniform["ok"]) == ("uniform", True)
    assert tuple(c["name"] for c in picky["checks"]) == check_names(quick=True)
    statuses = {c["name"]: (c["status"], c["detail"]) for c in picky["checks"]}
    assert statuses["zero-gradient"] == ("skipped", "the moon is full")
    assert statuses["some-map"][0] == "failed"
    assert all(c["seconds"] >= 0 for c in picky["checks"])


def test_a_plugin_that_does_not_import(xaibench: Run, register_plugin: Register) -> None:
    register_plugin("broken", ABSENT)
    said = xaibench("check", "broken")
    assert said.code == 2 and "does not import: ModuleNotFoundError" in said.err


def test_progress_is_shown_on_a_terminal_only(xaibench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for argv, shown in ((["uniform"], True), (["uniform", "--quiet"], False)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        assert xaibench("check", "--quick", *argv).code == 0
        assert ("uniform: " in terminal.getvalue()) == shown


def test_a_metric_is_checked_by_its_name(xaibench: Run) -> None:
    said = xaibench("check", "--json", "auroc-thin", "entropy")
    found = said.json
    assert said.code == 0 and found["ok"] is True
    assert [(c["kind"], c["name"]) for c in found["checked"]] == [("metric", "auroc-thin"), ("metric", "entropy")]
    statuses = {c["name"]: c["status"] for c in found["checked"][0]["checks"]}
    assert statuses["oracle"] == statuses["empty-mask"] == "passed"
