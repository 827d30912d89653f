"""The phantoms: as like DRIVE as was measured, exact in their geometry, and the same bits for the same seed."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import distance_transform_edt

from data.measures import centreline_width_and_contrast, mean_contrast_by_width
from xaibench.data.anatomy.caliber import caliber_map, fov_scale
from xaibench.data.case import Case
from xaibench.data.datasets.phantom import SEEDS, phantom
from xaibench.data.phantom import FULL_SIZE
from xaibench.data.phantom.draw import draw_phantom, save_phantom
from xaibench.data.phantom.raster import rasterise
from xaibench.data.phantom.tree import AVASCULAR_RADIUS, Anatomy, grow_trees, place_landmarks
from xaibench.data.phantom.vessel import ARTERY, MURRAY_EXPONENT, VEIN, Forest, Vessel
from xaibench.errors import UserError

Eye = tuple[Anatomy, list[Vessel]]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(phantom.function(split="test"))


@pytest.fixture(scope="module")
def eyes() -> list[Eye]:
    rngs = [np.random.default_rng(seed) for seed in range(6)]
    places = [place_landmarks(rng) for rng in rngs]
    return [(landmarks, grow_trees(rng, landmarks)) for rng, landmarks in zip(rngs, places, strict=True)]


def test_vessel_fraction_width_and_contrast_are_those_of_drive(cases: list[Case]) -> None:
    vessels, field = np.sum([[int(case.vessels.sum()), int(case.fov.sum())] for case in cases], axis=0)
    assert vessels / field == pytest.approx(0.127, rel=0.15)
    width, contrast = centreline_width_and_contrast(cases)
    quantiles = np.quantile(width, [0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
    np.testing.assert_allclose(quantiles, [1.0, 1.0, 1.8, 3.5, 5.0, 7.5], rtol=0.15)
    np.testing.assert_allclose(mean_contrast_by_width(width, contrast), [0.061, 0.149, 0.201, 0.264, 0.294], rtol=0.15)


@pytest.mark.parametrize("kind", ["thin", "thick"])
def test_measured_caliber_is_near_the_true_one(cases: list[Case], kind: str) -> None:
    errors = [(caliber_map(c.vessels.numpy()) - c.caliber.numpy())[getattr(c, kind).numpy()] for c in cases]
    assert np.median(np.abs(np.concatenate(errors))) < 0.5


def test_images_are_as_a_camera_stores_them(cases: list[Case]) -> None:
    for case in cases:
        image = case.image.numpy()
        assert image.shape == (3, 584, 565)
        np.testing.assert_array_equal(image, np.rint(image * 255).astype(np.float32) / np.float32(255))
        assert image[:, ~case.fov.numpy()].mean() < 0.05
        red, green, blue = np.median(image[:, case.fov.numpy()], axis=1)
        assert red > green > blue
        assert fov_scale(case.fov.numpy()) == pytest.approx(1.0, abs=0.005)


def test_caliber_is_known_on_every_vessel_pixel_and_nowhere_else(cases: list[Case]) -> None:
    for case in cases:
        caliber, vessels = case.caliber.numpy(), case.vessels.numpy()
        np.testing.assert_array_equal(caliber > 0, vessels)
        assert 0.4 < caliber[vessels].min() < 1 < 3 < caliber.max() < 7


def test_eyes_differ_in_colours_and_light(cases: list[Case]) -> None:
    typical = np.array([np.median(c.image.numpy()[:, c.fov.numpy()], axis=1) for c in cases])
    assert (typical.std(0) > [0.05, 0.03, 0.03]).all()
    assert len({case.digest for case in cases}) == 20


@pytest.mark.parametrize("size", [FULL_SIZE, (128, 128), (200, 131)])
def test_a_seed_gives_the_same_bits_again(size: tuple[int, int]) -> None:
    first, again = draw_phantom(3, size), draw_phantom(3, size)
    assert first.digest == again.digest != draw_phantom(4, size).digest and first.scale == 1.0
    assert first.image.numpy().tobytes() == again.image.numpy().tobytes()


@pytest.mark.alone
def test_drawing_takes_less_than_two_seconds() -> None:
    def seconds(seed: int) -> float:
        start = time.process_time()
        draw_phantom(seed)
        return time.process_time() - start

    assert min(seconds(seed) for seed in range(2)) < 2


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.integers(128, 300), st.integers(128, 300))
def test_small_fields_show_vessels_at_the_same_scale(seed: int, height: int, width: int) -> None:
    case = draw_phantom(seed, (height, width))
    assert case.fov.any(0).sum() == pytest.approx(0.956 * width, abs=2)
    assert not (case.vessels & ~case.fov).any() and case.vessels.any()
    assert case.caliber.max() < 7


def forks(eyes: list[Eye]) -> list[tuple[Vessel, Vessel]]:
    """Each vessel that is no trunk, after its parent."""
    return [(vessels[v.parent], v) for _, vessels in eyes for v in vessels if v.parent >= 0]


def test_radii_obey_murrays_law_at_every_fork(eyes: list[Eye]) -> None:
    for parent, vessel in forks(eyes):
        trunk, onward, branch = parent.radius[vessel.at], parent.radius[vessel.at + 1], vessel.radius[0]
        assert trunk**MURRAY_EXPONENT == pytest.approx(onward**MURRAY_EXPONENT + branch**MURRAY_EXPONENT, rel=0.05)
        assert vessel.kind == parent.kind
    assert len(forks(eyes)) > 400


def test_radii_never_grow_towards_the_tip(eyes: list[Eye]) -> None:
    assert all((np.diff(vessel.radius) <= 1e-9).all() for _, vessels in eyes for vessel in vessels)


def test_daughters_part_at_about_78_degrees(eyes: list[Eye]) -> None:
    angles = []
    for parent, vessel in forks(eyes):
        onward, branch = parent.xy[vessel.at + 2] - parent.xy[vessel.at], vessel.xy[2] - vessel.xy[0]
        cosine = onward @ branch / np.linalg.norm(onward) / np.linalg.norm(branch)
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    assert np.mean(angles) == pytest.approx(78, abs=5)
    assert np.std(angles) < 20


def test_each_eye_has_an_upper_and_a_lower_tree_of_either_kind(eyes: list[Eye]) -> None:
    for landmarks, vessels in eyes:
        trunks = [v for v in vessels if v.parent < 0]
        found = {(t.kind, bool(t.xy[30, 1] < landmarks.disc[1])) for t in trunks}
        assert len(trunks) == 4
        assert found == {(kind, upper) for kind in (ARTERY, VEIN) for upper in (True, False)}
        for trunk in trunks:
            assert np.linalg.norm(trunk.xy[0] - landmarks.disc) < landmarks.disc_radius


def test_vessels_wind_and_keep_off_the_fovea(eyes: list[Eye]) -> None:
    for landmarks, vessels in eyes:
        for vessel in vessels:
            assert np.linalg.norm(vessel.xy - landmarks.fovea, axis=1).min() > 0.8 * AVASCULAR_RADIUS
        long = [v.xy for v in vessels if len(v.xy) > 30]
        detour = [np.linalg.norm(np.diff(xy, axis=0), axis=1).sum() / np.linalg.norm(xy[-1] - xy[0]) for xy in long]
        assert 1.03 < np.median(detour) < 1.5


def test_no_part_of_the_field_is_left_bare(cases: list[Case]) -> None:
    for case in cases:
        empty = distance_transform_edt(~case.vessels.numpy())
        assert empty[case.fov.numpy()].max() < 110
        assert np.quantile(empty[case.fov.numpy()], 0.95) < 45


@given(st.integers(0, 2**32))
def test_landmarks_lie_as_measured_on_eyes(seed: int) -> None:
    eye = place_landmarks(np.random.default_rng(seed))
    assert 190 <= np.linalg.norm(eye.disc - eye.fovea) <= 210
    assert 62 <= 2 * eye.disc_radius <= 83


def test_there_are_left_and_right_eyes() -> None:
    eyes = [place_landmarks(np.random.default_rng(seed)) for seed in range(60)]
    assert 15 < sum(eye.disc[0] > eye.fovea[0] for eye in eyes) < 45  # the right ones


def straight(kind: int, start: tuple[float, float], step: tuple[float, float], radius: float) -> Vessel:
    """A vessel of 61 points from a place (x, y) on."""
    return Vessel(kind, np.array(start) + np.arange(61)[:, None] * step, np.full(61, radius), -1, -1)


def test_a_straight_vessel_is_drawn_where_it_lies() -> None:
    line = straight(VEIN, (-5, 20), (2, 0), 3.2)
    raster = rasterise(np.random.default_rng(0), [line], (40, 60), np.zeros(2))
    expected = np.zeros((40, 60), bool)
    expected[17:24] = True
    np.testing.assert_array_equal(raster.vessels, expected)
    np.testing.assert_allclose(raster.radius[expected], 3.2)
    assert (raster.depth[20] > 0.02).all()


def test_where_two_vessels_meet_the_radius_is_of_the_one_that_covers_more() -> None:
    lines = [straight(ARTERY, (0, 60), (2, 0), 1.0), straight(VEIN, (60, 0), (0, 2), 4.0)]
    raster = rasterise(np.random.default_rng(0), lines, (120, 120), np.zeros(2))
    assert raster.radius[60, 60] == raster.radius[20, 63] == 4.0
    assert raster.radius[60, 20] == 1.0


def test_splits_share_no_seed_and_load_by_id() -> None:
    seeds = [set(split) for split in SEEDS.values()]
    assert len(set().union(*seeds)) == sum(len(s) for s in seeds) == 240
    assert {name: len(phantom.function(split=name)) for name in SEEDS} == {"test": 20, "validation": 20, "train": 200}
    assert phantom.function(split="training").ids == phantom.function(split="train").ids
    cases = phantom.function(split="validation", size=128)
    assert cases.ids[0] == cases[0].id == "phantom-0020"
    assert cases[0].digest == draw_phantom(20, (128, 128)).digest


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: phantom.function(split="valid"), ["'valid'", "Did you mean validation?"]),
        (lambda: phantom.function(size=64), ["64", "128"]),
        (lambda: phantom.function(size=-5), ["-5", "128"]),
        (lambda: draw_phantom(0, (584, 100)), ["100", "128"]),
        (lambda: draw_phantom(-1), ["-1"]),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(ask: object, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        ask()  # type: ignore[operator]
    assert all(word in str(caught.value) for word in words)


def test_a_saved_phantom_reads_back_as_it_was(tmp_path: Path) -> None:
    case = draw_phantom(5, (128, 140))
    save_phantom(case, tmp_path / "out")
    image = np.asarray(Image.open(tmp_path / "out/images/phantom-0005.png"))
    np.testing.assert_array_equal(image.transpose(2, 0, 1).astype(np.float32) / np.float32(255), case.image.numpy())
    for part, mask in (("masks", case.vessels), ("fov", case.fov)):
        read = np.asarray(Image.open(tmp_path / f"out/{part}/phantom-0005.png"))
        np.testing.assert_array_equal(read, mask.numpy() * np.uint8(255))
    assert len([p for p in (tmp_path / "out").rglob("*") if p.is_file()]) == 3
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        save_phantom(case, tmp_path / "file")


def test_a_large_field_holds_more_vessels_than_room_was_made_for() -> None:
    trees = Forest(np.random.default_rng(0), 100.0, 0.02)
    lines = [np.stack([np.linspace(0, 50, 30_000), np.full(30_000, y)], 1) for y in (-20.0, 0.0, 20.0)]
    for kind, line in enumerate(lines):
        assert trees.add(line, kind % 2, -1) == kind
    for vessel, line in enumerate(lines):
        assert np.array_equal(trees.course(vessel), line)
    assert trees.kinds[[0, 30_000, 60_000]].tolist() == [0, 1, 0] and trees.free[40_000] and not trees.free[90_000]
