"""The public figures: axes that are the user's own, files whose text stays text, and words for what is not there."""

from pathlib import Path

import matplotlib as mpl
import pytest
from faults import python
from leaderboard.synthetic import record
from report.made_up_run import write_made_up_run

mpl.use("Agg")
from matplotlib import pyplot as plt

from xaibench import plot
from xaibench.errors import UserError
from xaibench.record import Store

FIGURES = (plot.curves, plot.thin_against_thick, plot.cost_against_faithfulness)
FIGURES += (plot.critical_difference, plot.agreement)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_made_up_run(tmp_path_factory.mktemp("runs") / "run", films=False)


@pytest.fixture(autouse=True)
def closed() -> object:
    yield
    plt.close("all")


@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_takes_a_folder_a_store_or_what_was_read_and_axes(store: Store, draw) -> None:
    own = plt.subplots()[1]
    assert draw(store, ax=own) is own
    assert draw(store.root, target="thin") is not own
    assert draw(plot.read(store)).has_data()


def test_saved_text_can_be_edited(store: Store, tmp_path: Path) -> None:
    ax = plot.curves(store, "insertion", methods=["fair", "frangi"])
    svg = plot.save(ax, tmp_path / "insertion.svg").read_text()
    assert ">fair</text>" in svg and "<text" in svg
    pdf = plot.save(ax, tmp_path / "insertion.pdf").read_bytes()
    assert b"/Subtype /Type0" in pdf or b"/CIDFontType2" in pdf  # a TrueType font, not outlines
    assert b"/Subtype /Type3" not in pdf
    with pytest.raises(UserError, match="cannot be written"):
        plot.save(ax, tmp_path / "figure.no-such-kind")


def test_a_map_over_its_image(store: Store) -> None:
    picture = plot.overlay(store, "fair", "00").images[0].get_array()
    assert picture.shape == (40, 50, 3)
    with pytest.raises(UserError, match="no map of fair on 77"):
        plot.overlay(store, "fair", "77")
    with pytest.raises(UserError, match="folder"):
        plot.overlay(plot.read(store), "fair", "00")


def test_what_is_not_there_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no curves of 'srg'"):
        plot.curves(store, "srg")
    with pytest.raises(UserError, match="no method 'far'"):
        plot.curves(store, methods=["far"])
    with pytest.raises(UserError, match="no records for the target 'thick'"):
        plot.agreement(store, target="thick")
    several = Store(tmp_path / "several")
    for dataset in ("drive", "chase"):
        several.write(record("a", "01", {"srg": 0.5}, dataset=dataset, case_digest=dataset))
    with pytest.raises(UserError, match="holds 2 leaderboards: chase"):
        plot.read(several)
    with pytest.raises(UserError, match="There is no folder"):
        plot.read(tmp_path / "nowhere")


def test_drawing_loads_no_network_library_and_importing_no_matplotlib(store: Store) -> None:
    python(
        "import sys; from xaibench import plot; assert 'matplotlib' not in sys.modules; "
        "import matplotlib; matplotlib.use('Agg'); plot.curves(sys.argv[1]); "
        "assert not {'torch', 'monai', 'skimage', 'captum'} & set(sys.modules)",
        str(store.root),
    )
