from pathlib import Path

import pytest
from made_up import make_network

from cli.said import Register, Run
from cli.unusual import ABSENT
from xaibench import registry
from xaibench.models import bundled
from xaibench.models.weights_file import save_weights


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_registered_name_is_listed(xaibench: Run, kind: str) -> None:
    found = xaibench("list", f"{kind}s", "--json").json
    assert [f["name"] for f in found] == registry.names(kind)
    for f in found:
        plugin = registry.get(kind, f["name"])
        assert f["family"] == plugin.family and f["summary"] == plugin.summary != ""
        assert f["parameters"] == plugin.parameters and isinstance(f["control"], bool)
    text = xaibench("list", f"{kind}s")
    assert text.code == 0 and not text.err
    for name in registry.names(kind):
        assert any(line.startswith(f"{name} ") for line in text.out.splitlines())


def test_explainers_say_which_are_controls_and_what_they_take(xaibench: Run) -> None:
    found = {f["name"]: f for f in xaibench("list", "explainers", "--json").json}
    assert found["gradcam"]["parameters"] == {"layer": "bottleneck"} and not found["gradcam"]["control"]
    assert found["random"]["control"] and found["vessels-oracle"]["sees_labels"]
    assert "layer=bottleneck" in xaibench("list", "explainers").out


def test_explainers_and_metrics_name_their_papers(xaibench: Run) -> None:
    found = {f["name"]: f for kind in ("explainers", "metrics") for f in xaibench("list", kind, "--json").json}
    gradcam = found["gradcam"]
    assert gradcam["paper"] == "Selvaraju 2017" and gradcam["key"] == "selvaraju2017"
    assert gradcam["doi"] == "10.1109/ICCV.2017.74" and gradcam["arxiv"] == "1610.02391"
    assert gradcam["title"].startswith("Grad-CAM: Visual Explanations") and gradcam["url"].endswith(gradcam["doi"])
    assert found["srg"]["paper"] == "Blücher 2024" and found["srg"]["arxiv"] == "2401.06654"
    assert found["random"]["paper"] == found["random"]["key"] == found["random"]["url"] == ""
    assert "(Arras 2022)" in found["mass-thin"]["summary"]
    link = "| [Selvaraju 2017](https://doi.org/10.1109/ICCV.2017.74) |"
    assert link in xaibench("list", "explainers", "--markdown").out
    text = xaibench("list", "explainers").out
    assert "Selvaraju 2017" in text and "https://" not in text


def test_an_endless_range_is_null(xaibench: Run) -> None:
    found = {f["name"]: f for f in xaibench("list", "metrics", "--json").json}
    assert found["srg"]["range"] == [None, None] and found["lift-thin"]["range"] == [0, None]
    assert found["auroc-thin"]["range"] == [0, 1] and found["deletion"]["better"] == "lower"
    assert "-∞ … ∞" in xaibench("list", "metrics").out


def test_models_say_whether_their_weights_are_there(
    xaibench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    assert all(f["weights"] is None for f in xaibench("list", "models", "--json").json)
    assert xaibench("list", "models").out.count("(no bundled weights)") == len(registry.names("model"))

    network = make_network()
    save_weights(network, tmp_path / "unet-drive.safetensors", {"validation": {"auc": 0.9712, "ap": 0.9, "f1": 0.8}})
    (tmp_path / "unet-phantom.safetensors").write_bytes(b"damaged")
    found = {f["name"]: f for f in xaibench("list", "models", "--json").json}
    count = sum(p.numel() for p in network.parameters())
    assert found["unet-drive"]["network_parameters"] == count
    assert found["unet-drive"]["card"]["validation"]["auc"] == 0.9712
    assert "is damaged" in found["unet-phantom"]["error"]
    text = xaibench("list", "models").out
    assert f"({count:,} parameters, auc 0.971, ap 0.900, f1 0.800)" in text and "is damaged" in text
    card = {"validation": {"auc": 0.9712}, "recipe": {"holdout": 0}}
    save_weights(network, tmp_path / "unet-drive.safetensors", card)
    text = xaibench("list", "models").out
    assert f"({count:,} parameters; on images that it was trained on, auc 0.971)" in text


def test_a_plugin_that_does_not_import_is_listed_with_its_reason(xaibench: Run, register_plugin: Register) -> None:
    register_plugin("broken", ABSENT)
    found = {f["name"]: f for f in xaibench("list", "explainers", "--json").json}
    assert "ModuleNotFoundError" in found["broken"]["error"] and "error" not in found["gradcam"]
    said = xaibench("list", "explainers")
    assert said.code == 0 and "not usable: The explainer 'broken' of other-package does not import" in said.out


def test_lines_are_cut_only_where_a_terminal_would_break_them(xaibench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    whole = xaibench("list", "metrics").out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    cut = xaibench("list", "metrics").out
    assert max(map(len, whole.splitlines())) > 100
    assert max(map(len, cut.splitlines())) == 60 and "…\n" in cut
