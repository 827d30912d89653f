"""A data set of another package: one decorated function, which everything else asks."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from faults import python
from layouts import Make

from xaibench import registry
from xaibench.data.case_loader import load_cases
from xaibench.data.cases import Cases
from xaibench.data.datasets.local_copy import find_copy, how_to_get, open_copy, recognise
from xaibench.data.folder_check import check_folder
from xaibench.data.io.source import open_source
from xaibench.errors import UserError
from xaibench.registry import dataset, dataset_traits
from xaibench.running.resolve import default_model

PLUGIN = """
from xaibench import dataset
from xaibench.data.datasets.local_copy import open_copy

@dataset(
    "eyes",
    title="EYES",
    paper="Doe 2026",
    licence="CC0",
    terms="EYES may be shown.",
    source="https://eyes.example",
    files={"image": r"(?P<id>e\\d+)_photo\\.png", "vessels": r"(?P<id>e\\d+)_vessels\\.png"},
    example="e1_photo.png",
    images=4,
    splits=("test", "training", "all"),
    scale=0.5,
    default_model="segresnet-drive",
)
def eyes(*, split="test", root=""):
    copy = open_copy(eyes, split, root)
    return copy.cases(copy.choose(lambda files: int(files.id[1:]) > 1), copy.shortfall)
"""


@pytest.fixture
def plugin(dataset_points: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The data set ``eyes``, registered by a module outside the package."""
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "eyes_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    dataset_points.append(EntryPoint("eyes", "eyes_plugin:eyes", "xaibench.datasets"))
    monkeypatch.delenv("XAIBENCH_EYES", raising=False)
    yield
    sys.modules.pop("eyes_plugin", None)


@pytest.fixture
def copy(make: Make, tmp_path: Path) -> Path:
    for n in (1, 2, 3):
        make.save(tmp_path / "copy" / f"e{n}_photo.png", make.eye(n).image)
        make.save(tmp_path / "copy" / f"E{n}_vessels.PNG", make.eye(n).vessels)
    return tmp_path / "copy"


@pytest.mark.usefixtures("plugin")
def test_a_plugged_in_data_set_is_recognised_loaded_and_checked(copy: Path) -> None:
    cases = load_cases(copy)
    assert (cases.dataset, cases.ids, cases.split) == ("eyes", ("e2", "e3"), "test")
    assert cases.note == "Only 3 of the 4 images of EYES are there." and cases[0].scale == 0.5
    assert load_cases(f"eyes[root={copy}]", split="train").ids == ("e1",)
    report = check_folder(copy)
    assert report.facts[:2] == ["layout: EYES", "images: 3"] and report.problems == []


@pytest.mark.usefixtures("plugin")
def test_its_declaration_is_asked(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    declared = dataset_traits("eyes")
    assert declared.terms == "EYES may be shown." and default_model("eyes") == "segresnet-drive"
    with pytest.raises(UserError, match=r"EYES is not in .*data/EYES.* Get EYES \(CC0\) from https://eyes\.example"):
        load_cases("eyes")
    assert find_copy(declared) is None and "XAIBENCH_EYES" in how_to_get(declared)
    monkeypatch.setenv("XAIBENCH_EYES", str(copy))
    assert find_copy(declared) == copy and load_cases("eyes", split="all").ids == ("e1", "e2", "e3")
    with pytest.raises(UserError, match=r"no split 'tes'\. Did you mean test"):
        load_cases("eyes", split="tes")


def test_a_folder_with_several_data_sets_is_the_one_with_most_images(make: Make, tmp_path: Path) -> None:
    make.chase(tmp_path, [1, 2])
    assert getattr(recognise(open_source(tmp_path)), "name", "") == "chase"
    make.drive(tmp_path, training=range(21, 27))
    assert getattr(recognise(open_source(tmp_path)), "name", "") == "drive"
    make.folder(tmp_path / "mine", ["a"])
    assert recognise(open_source(tmp_path / "mine")) is None


def test_without_declared_splits_any_split_is_passed_on(make: Make, tmp_path: Path) -> None:
    @dataset("plain", files={"image": r"(?P<id>\w+)\.png", "vessels": r"masks/(?P<id>\w+)\.png"})
    def plain(*, split: str = "", root: str = "") -> Cases:
        copy = open_copy(plain, split, root)
        return copy.cases(copy.files)

    cases = plain(split="odd", root=str(make.folder(tmp_path, ["a", "b"], fov="")))
    assert cases.ids == ("a", "b") and cases.split == "odd" and cases.note == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"files": {"image": r"\d+\.png"}}, r"dataset 'x': files: the pattern of image has no group"),
        ({"files": {"label": r"(?P<id>\d+)\.png"}}, "files='label' is none of image, vessels"),
        ({"scale": 0.0}, "scale=0.0 is not positive"),
    ],
)
def test_a_wrong_declaration_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dataset("x", **wrong)


def test_importing_the_room_costs_nothing_and_declarations_are_read_without_pytorch() -> None:
    python(
        "import sys, xaibench.data; assert not {'torch', 'numpy', 'PIL'} & {*sys.modules}; "
        "from xaibench import registry; good, bad = registry.available('dataset'); "
        "assert len(good) >= 5 and not bad and not {'torch', 'scipy', 'skimage'} & {*sys.modules}"
    )


def test_every_built_in_data_set_declares_its_terms_and_a_model_that_exists() -> None:
    for plugin in registry.available("dataset")[0]:
        assert plugin.traits.terms and plugin.traits.splits and plugin.traits.default_model in registry.names("model")
        assert plugin.name == "phantom" or (plugin.traits.paper and plugin.traits.source and plugin.traits.images)
