import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cli.said import Run
from xaibench.cli.commands.train import _card
from xaibench.data.case_loader import load_cases
from xaibench.data.cases import Cases
from xaibench.models import train as train_module
from xaibench.models.model_loader import load_model
from xaibench.models.train import Recipe, train
from xaibench.models.weights_file import read_card, weights_digest

SMALL = ("--data", "phantom[size=128]", "--cases", "2", "--crop", "64", "--batch", "2", "--holdout", "2")
SHORT = ("train", *SMALL, "--steps", "4", "--validate-every", "2")


def test_training_writes_weights_with_a_card(xaibench: Run) -> None:
    said = xaibench(*SHORT, "--out", "new/w.safetensors", "--seed", "3")
    path = Path("new/w.safetensors")
    assert said.code == 0 and said.out.endswith(f"Written to {path}.\n")
    assert "step 2: loss " in said.err and "step 4: loss " in said.err and "auc 0." in said.err
    assert [p.name for p in Path("new").iterdir()] == ["w.safetensors"]

    card = read_card(path)
    assert (card["dataset"], card["split"], card["training_images"]) == ("phantom", "train", 1)
    assert card["images"] == ["phantom-1000", "phantom-1001"] and card["validation_images"] == ["phantom-1001"]
    assert card["recipe"]["seed"] == 3 and card["recipe"]["crop"] == 64 and card["steps_done"] == 4
    assert (
        card["terms"] == "The images are synthetic phantoms and may be shown freely."
        and card["xaibench"]
        and card["date"][:2] == "20"
    )

    # The options reach the recipe: the same in Python gives the same weights.
    recipe = Recipe(steps=4, batch=2, crop=64, holdout=2, validate_every=2, seed=3)
    cases = load_cases("phantom[size=128]", split="train", count=2)
    model, _ = train(cases, recipe, progress=lambda *_: None)
    assert weights_digest(load_model(path)) == weights_digest(model)


def test_every_field_of_the_recipe_is_an_option_with_its_words(xaibench: Run) -> None:
    words = " ".join(xaibench("train", "--help").out.partition("options:")[2].split())
    for field in fields(Recipe):
        text = words.partition(f"--{field.name.replace('_', '-')} ")[2].partition(" -")[0]
        meaning, default, end = text[1:].partition(f"(default: {field.default})")
        assert meaning.strip() and default and not end
    assert "optimiser steps (default: 2000)" in words and "after 5 % of warming up" in words


def test_without_held_out_images_it_says_what_the_figures_are(xaibench: Run) -> None:
    said = xaibench(*SHORT, "--holdout", "0", "--out", "w.safetensors")
    assert said.code == 0 and "validation figures are of images that are trained on" in said.err


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("w.pt", "Give --out w.safetensors."),
        ("there.safetensors", "there.safetensors exists already"),
        ("/dev/null/w.safetensors", "cannot be written"),
        ("folder.safetensors", "is a folder"),
        *((folder, f"{folder} is a folder. Give --out the name of a file.") for folder in (".", "..", "/", "gone/..")),
    ],
)
def test_what_cannot_be_written_is_told_before_training(
    xaibench: Run, monkeypatch: pytest.MonkeyPatch, out: str, words: str
) -> None:
    monkeypatch.setattr(train_module, "train", lambda *_, **__: pytest.fail("it trained"))
    Path("there.safetensors").write_bytes(b"mine")
    Path("folder.safetensors").mkdir()
    said = xaibench(*SHORT, "--out", out)
    assert said.code == 2 and words in said.err
    assert Path("there.safetensors").read_bytes() == b"mine"
    assert {path.name for path in Path().iterdir()} == {"there.safetensors", "folder.safetensors"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(xaibench: Run) -> None:
    Path("locked").mkdir(mode=0o500)
    said = xaibench(*SHORT, "--out", "locked/w.safetensors")
    assert said.code == 2 and "Permission denied" in said.err


def test_force_replaces(xaibench: Run) -> None:
    path = Path("w.safetensors")
    path.write_bytes(b"mine")
    assert xaibench(*SHORT, "--out", str(path), "--force").code == 0 and read_card(path)["steps_done"] == 4


@pytest.mark.parametrize(("when", "kept"), [(3, True), (1, False)])
def test_an_interruption_keeps_the_best_weights_so_far(
    xaibench: Run, monkeypatch: pytest.MonkeyPatch, when: int, kept: bool
) -> None:
    draw, calls = train_module._draw, iter(range(100))

    def interrupted(*args: Any) -> Any:
        if next(calls) == when:
            raise KeyboardInterrupt
        return draw(*args)

    monkeypatch.setattr(train_module, "_draw", interrupted)
    said = xaibench(*SHORT, "--out", "w.safetensors")
    assert said.code == 130 and Path("w.safetensors").exists() == kept
    if kept:
        assert read_card(Path("w.safetensors"))["steps_done"] == 3
        assert "Interrupted after 3 of 4 steps; the best weights so far are in w.safetensors" in said.err
        assert said.err.endswith("--out w.safetensors --force\n")
    else:
        assert "Interrupted" in said.err.splitlines()[-1]


def test_too_large_a_crop(xaibench: Run) -> None:
    said = xaibench(*SHORT, "--crop", "256", "--out", "w.safetensors")
    assert said.code == 2 and "smaller than a crop of 256 px" in said.err and not Path("w.safetensors").exists()


def test_the_card_of_weights_from_drive_tells_its_terms() -> None:
    cases = Cases("drive", "training", ("21",), lambda _: pytest.fail("it was read"))
    card = _card({"validation": {"cldice": float("nan")}}, cases)
    assert card["terms"].startswith("DRIVE's terms forbid redistribution of its images and labels")
    assert card["validation"] == {"cldice": None}  # NaN has no place in JSON
    other = _card({}, Cases("my-eyes", "all", ("1",), cases.load))
    assert "terms of their source" in other["terms"]
