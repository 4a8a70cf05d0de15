"""Leaks: copies are found however they were saved; other patients are left alone."""

import csv
from itertools import combinations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.datasets import load_sample_image
from support.labelled import save_color

from napari_resonance.preprocessing import Recipe
from napari_resonance.reading import read_scan
from napari_resonance.samples import sample_path
from napari_resonance.scan import Scan
from napari_resonance.training.cases import Case, LabelledSet
from napari_resonance.training.fingerprints import (
    fingerprint,
    fingerprints_of,
    stacked,
)
from napari_resonance.training.labels import read_labels
from napari_resonance.training.leaks import LIKENESS, copies, find_leaks
from napari_resonance.training.prepared import PreparedSet, prepare_cases
from napari_resonance.training.second_look import TEXTURE, texture_in_common
from napari_resonance.training.splits import Split

from .conftest import blobs, scan_file


def likeness(one, other):
    prints = np.stack([fingerprint(np.asarray(v, np.float32)) for v in (one, other)])
    found = copies(prints, [0], [1])
    return found[0][2] if found else 0.0


def eight_bits(values):
    low, high = np.percentile(values, (0.5, 99.5))
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)


def with_noise(values):
    low, high = np.percentile(values, (0.5, 99.5))
    noise = np.random.default_rng(0).normal(0, 0.02, values.shape)
    return values + noise * (high - low)


COPIES = {
    "8 bits": eight_bits,
    "mirrored": lambda v: v[::-1],
    "turned about": lambda v: v.transpose(2, 0, 1)[:, ::-1],
    "mirrored with 8 bits": lambda v: eight_bits(v)[:, ::-1],
    "resliced": lambda v: ndimage.zoom(v, (0.8, 0.8, 0.9), order=1),
    "padded": lambda v: np.pad(
        v, ((7, 3), (5, 9), (2, 0)), constant_values=float(v.min())
    ),
    "noisy": with_noise,
    "rescaled": lambda v: 3.5 * v - 1000,
}


@pytest.fixture(scope="module")
def head():
    return read_scan(sample_path("icbm-t1")).values()


@pytest.mark.parametrize("copy", COPIES)
def test_copies_of_a_head_are_found(head, copy):
    assert likeness(head, COPIES[copy](head)) > LIKENESS + 0.05


@pytest.mark.parametrize("copy", [c for c in COPIES if c != "padded"])
def test_copies_of_a_body_are_found(shared_data, copy):
    body = read_scan(shared_data / "ct_dicom").values()
    assert likeness(body, COPIES[copy](body)) > LIKENESS


def test_a_radiograph_and_its_copies(shared_data):
    image = read_scan(shared_data / "xray_dicom" / "chest_pa.dcm").values()
    assert image.shape[2] == 1
    for copy in (image[::-1], image.transpose(1, 0, 2), eight_bits(image)):
        assert likeness(image, copy) > 0.95
    smaller = ndimage.zoom(image, (0.5, 0.5, 1), order=1)
    assert likeness(image, smaller) > 0.95


@settings(max_examples=20)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([1, -1])] * 3))
def test_every_way_to_turn_axes_is_seen(order, mirrored):
    values = blobs(3).astype(np.float32)
    view = values.transpose(order)[tuple(slice(None, None, m) for m in mirrored)]
    assert likeness(values, view) > 0.99


def test_other_bodies_are_no_copies():
    prints = np.stack([fingerprint(blobs(n).astype(np.float32)) for n in range(60)])
    assert copies(prints, range(30), range(30, 60)) == []


def test_phantoms_that_differ_by_their_noise_only_are_no_copies():
    random = np.random.default_rng(0)
    volumes = []
    for n in range(24):
        volume = np.zeros((24, 24, 16), np.float32)
        volume[4:20, 4:20, 3:13] = 300
        volume[(6, 12)[n % 2] :, 6:12, 5:9][:5] = 700
        volumes.append(volume + random.normal(0, 20, volume.shape))
    volumes.append(volumes[3][::-1])
    prints = np.stack([fingerprint(v.astype(np.float32)) for v in volumes])
    found = copies(prints, range(12), range(12, 25))
    assert [pair[:2] for pair in found] == [(3, 24)]


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((9, 9, 9)),
        np.full((9, 9, 9), np.nan),
        np.ones((9, 9, 1)),
        np.ones((1, 1, 9)),
        np.ones((1, 1, 1)),
        np.eye(9)[:, :1, None],
    ],
)
def test_what_shows_nothing_resembles_nothing(values):
    prints = np.stack([fingerprint(values.astype(np.float32))] * 2)
    assert copies(prints, [0], [1]) == []


def test_colour_and_single_voxels_have_fingerprints_too():
    colour = np.random.default_rng(0).integers(0, 255, (30, 40, 1, 3), np.uint8)
    found, _ = fingerprints_of([Scan(colour, np.eye(4), color=True)])
    assert found[0] == 2
    spot = np.zeros((20, 20, 20), np.float32)
    spot[3, 4, 5] = 1
    assert fingerprint(spot).shape == found.shape


def test_thousands_are_compared_in_seconds():
    random = np.random.default_rng(0)
    prints = random.integers(-127, 128, (3000, 4097)).astype(np.int8)
    prints[:, 0] = 3
    prints[2999] = prints[5]
    ((a, b, value),) = copies(prints, range(2400), range(2400, 3000))
    assert (a, b) == (5, 2999)
    assert value == pytest.approx(1)


@pytest.mark.parametrize("copy", COPIES)
def test_copies_share_their_texture(shared_data, copy):
    body = read_scan(shared_data / "ct_dicom").values()
    again = np.asarray(COPIES[copy](body), np.float32)
    assert texture_in_common(body, again) > TEXTURE + 0.1
    assert texture_in_common(again, body) > TEXTURE + 0.1


@pytest.mark.parametrize("shape", [(28, 28, 1), (96, 80, 1), (30, 26, 22)])
def test_what_differs_by_its_noise_only_shares_no_texture(shape):
    random = np.random.default_rng(0)
    body = np.zeros(shape, np.float32)
    body[tuple(slice(n // 4, -n // 4 or None) for n in shape)] = 2
    one, other = (body + random.normal(0, 0.1, shape) for _ in range(2))
    assert texture_in_common(one, other) < TEXTURE - 0.1
    assert texture_in_common(one, one[::-1] * 3) > 0.9


def test_what_cannot_be_compared_has_no_texture():
    image = np.random.default_rng(0).normal(size=(20, 20, 1)).astype(np.float32)
    for other in (
        np.zeros((20, 20, 1)),
        np.ones((20, 20, 20)),
        np.full((9, 9, 1), np.nan),
    ):
        assert texture_in_common(image, other.astype(np.float32)) is None
    image[3, 3] = np.nan
    assert texture_in_common(image, image) > 0.9


RECIPE = Recipe.from_json(
    {"dimensions": 3, "steps": [{"step": "resample_shape", "shape": [8, 8, 8]}]}
)


def test_a_copy_under_another_name_is_a_leak(tmp_path):
    original = scan_file(tmp_path / "p0.nii.gz", blobs(0))
    for n in range(1, 8):
        scan_file(tmp_path / f"p{n}.nii.gz", blobs(n))
    turned = nib.load(original).as_reoriented([[2, -1], [0, 1], [1, 1]])
    values = eight_bits(np.asarray(turned.dataobj)).astype(np.uint8)
    scan_file(tmp_path / "other.nii", values[::-1], np.eye(4))
    rows = [f"p{n}.nii.gz,{'xy'[n % 2]},{n}" for n in range(8)] + ["other.nii,y,99"]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label,patient", *rows]))
    prepared = prepare_cases(read_labels(table), RECIPE)
    (leak,) = find_leaks(prepared, Split((0, 1, 2, 3), (4, 5), (6, 7, 8)))
    assert (leak.kind, leak.cases) == ("pixels", (0, 8))
    assert "p0.nii.gz (train) and other.nii (test)" in leak.sentence
    assert "two labels: x, y" in leak.sentence
    # On one side a copy does no harm to the figures.
    assert find_leaks(prepared, Split((0, 1, 8), (4, 5), (2, 3, 6, 7))) == []


def test_pictures_of_one_template_are_no_copies(tmp_path):
    # Fingerprints alone take them for copies: so alike are two of each.
    random = np.random.default_rng(0)
    templates = ndimage.gaussian_filter(
        random.normal(size=(6, 64, 64, 1)), (0, 4, 4, 0)
    )
    for n in range(12):
        noisy = 16 * templates[n % 6] + random.normal(0, 0.3, (64, 64, 1))
        scan_file(tmp_path / f"p{n}.nii.gz", noisy)
    last = np.asarray(nib.load(tmp_path / "p3.nii.gz").dataobj)
    scan_file(tmp_path / "p12.nii.gz", last[::-1])
    rows = [f"p{n}.nii.gz,{'xy'[n % 2]},{n}" for n in range(13)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label,patient", *rows]))
    recipe = Recipe(2, (("resample_shape", {"shape": [8, 8, None]}),))
    prepared = prepare_cases(read_labels(table), recipe)
    split = Split((0, 1, 2, 3, 4, 5), (), (6, 7, 8, 9, 10, 11, 12))
    flagged = copies(prepared.fingerprints, split.train, split.test)
    assert len(flagged) > 1
    assert [leak.cases for leak in find_leaks(prepared, split)] == [(3, 12)]


def set_of(patients, studies):
    """Blank cases of these patients and studies."""
    cases = [
        Case((Path(f"{n}.nii"),), "xy"[n % 2], patient, source=f"{n}.nii")
        for n, patient in enumerate(patients)
    ]
    n = len(cases)
    return PreparedSet(
        LabelledSet(tuple(cases), ("x", "y"), "column"),
        np.zeros((n, 1, 2, 2, 2), np.float32),
        np.tile(np.eye(4), (n, 1, 1)),
        np.arange(n) % 2,
        np.zeros((n, 4097), np.int8),
        tuple(studies),
        (),
        ({},) * n,
    )


def test_patients_and_studies_on_two_sides_are_leaks():
    prepared = set_of("abacde", ["s", "t", "s", "u", "t", ""])
    leaks = find_leaks(prepared, Split((0, 1), (2, 3), (4, 5)))
    assert [(leak.kind, leak.cases) for leak in leaks] == [
        ("patient", (0, 2)),
        ("study", (1, 4)),
    ]
    assert leaks[0].sentence == (
        "0.nii (train) and 2.nii (validation) are of the same patient"
    )
    assert find_leaks(prepared, Split((0, 1, 2), (3,), (5,))) == []


def test_heads_of_different_patients_are_no_copies(shared_data):
    with (shared_data / "mr_sequence" / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    rows = [row for row in rows if row["label"] != "FLAIR"]
    prints = np.stack(
        [
            fingerprints_of([read_scan(shared_data / "mr_sequence" / r["path"])])[0]
            for r in rows
        ]
    )
    patients = np.array([row["patient"] for row in rows])
    for one, other in combinations(np.unique(patients), 2):
        a, b = (np.flatnonzero(patients == p).tolist() for p in (one, other))
        assert copies(prints, a, b) == []


def test_small_masks_of_one_organ_are_no_copies(shared_data):
    with np.load(shared_data / "medmnist" / "adrenalmnist3d.npz") as arrays:
        volumes = arrays["train_images"][:300].astype(np.float32)
    prints = np.stack([fingerprint(volume) for volume in volumes])
    assert copies(prints, range(150), range(150, 300)) == []


def test_the_repeated_pictures_of_an_ultrasound_set_are_found(shared_data):
    with np.load(shared_data / "medmnist" / "breastmnist.npz") as arrays:
        train, test = (arrays[f"{side}_images"] for side in ("train", "test"))
    images = np.concatenate([train, test])[..., None].astype(np.float32)
    n = len(train)
    prints = np.stack([fingerprint(image) for image in images])
    found = copies(prints, range(n), range(n, len(images)))
    # The set repeats pictures over its own sides; one pair is equal to the last bit.
    assert len(found) > 40
    plain = images.reshape(len(images), -1)
    assert any(np.array_equal(plain[a], plain[b]) for a, b, _ in found)
    for a, b, _ in found:
        assert np.corrcoef(plain[a], plain[b])[0, 1] > 0.9


def photograph(name):
    return load_sample_image(name)[::2, ::2, None].astype(np.float32)


def in_color(colors):
    voxels = np.rint(np.asarray(colors).clip(0, 255)).astype(np.uint8)
    return Scan(voxels, np.eye(4), color=True)


# How other programs make one grey of three colours.
GREYS = {
    "BT.601": (0.299, 0.587, 0.114),
    "mean": (1 / 3, 1 / 3, 1 / 3),
    "BT.709": (0.2126, 0.7152, 0.0722),
}
RECOLORED = {
    "red and blue exchanged": lambda v: v[..., ::-1],
    "channels in another order": lambda v: v[..., (1, 2, 0)],
    "mirrored": lambda v: v[::-1],
    "a tint": lambda v: v * (1, 0.9, 0.8),
    "less colour": lambda v: 0.5 * v + 0.5 * v.mean(axis=-1, keepdims=True),
}


def likeness_of_cases(one, other):
    found = copies(stacked([fingerprints_of(one), fingerprints_of(other)]), [0], [1])
    return found[0][2] if found else 0.0


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_copies_of_photographs_are_found_however_they_are_coloured(name):
    colors = photograph(name)
    for kind, change in RECOLORED.items():
        found = likeness_of_cases([in_color(colors)], [in_color(change(colors))])
        assert found > LIKENESS, kind


@pytest.mark.parametrize(
    ("name", "grey"),
    [(n, g) for n in ("china.jpg", "flower.jpg") for g in GREYS if g != "BT.709"]
    + [("china.jpg", "BT.709")],
)
def test_a_photograph_saved_as_grey_is_a_copy(name, grey):
    colors = photograph(name)
    weighted = np.rint(colors @ np.array(GREYS[grey], np.float32)).astype(np.uint8)
    one, other = in_color(colors), Scan(weighted, np.eye(4))
    assert likeness_of_cases([one], [other]) > LIKENESS
    assert likeness_of_cases([other], [one]) > LIKENESS
    thrice = in_color(np.repeat(weighted[..., None], 3, axis=-1))
    assert likeness_of_cases([one], [thrice]) > LIKENESS


def hues_of_one_mean(seed):
    """A picture of blobs that differ from what is around them by their hue alone."""
    random = np.random.default_rng(seed)
    pattern = ndimage.gaussian_filter(random.normal(size=(64, 64)), 4)
    blobs = np.clip(pattern / pattern.std() - 0.5, 0, 1)[:, :, None, None]
    red, green = np.array([150, 60, 60.0]), np.array([50, 160, 60.0])
    return red * blobs + green * (1 - blobs)


def test_pictures_that_differ_by_their_hue_alone_are_told_apart():
    one, other = hues_of_one_mean(0), hues_of_one_mean(1)
    assert np.ptp(one.mean(axis=-1)) < 1e-9
    assert likeness_of_cases([in_color(one)], [in_color(other)]) == 0
    for kind, change in RECOLORED.items():
        if kind != "a tint":  # which gives them a brightness
            found = likeness_of_cases([in_color(one)], [in_color(change(one))])
            assert found > LIKENESS, kind
    assert likeness_of_cases([in_color(one)], [in_color(one * 0.9)]) > 0.95


def test_colours_of_one_brightness_are_no_copies():
    """Their luma is the same picture; what they show is not."""
    luma = np.array(GREYS["BT.601"])
    grey = ndimage.gaussian_filter(
        np.random.default_rng(3).normal(size=(64, 64, 1, 1)), (5, 5, 0, 0)
    )
    pictures = []
    for seed in (0, 1):
        colors = 1.5 * hues_of_one_mean(seed)
        wanted = 110 + 20 * grey / np.abs(grey).max()
        pictures.append(colors + (wanted - (colors @ luma)[..., None]))
    assert likeness_of_cases(*[[in_color(p)] for p in pictures]) == 0


@pytest.mark.parametrize("order", [(1, 0), (2, 0, 1)])
def test_channels_in_another_order_are_a_copy(order):
    scans = [Scan(blobs(n).astype(np.float32), np.eye(4)) for n in range(3)]
    scans = scans[: len(order)]
    again = [scans[n] for n in order]
    assert likeness_of_cases(scans, again) > 0.99
    # Scans of one case may be as alike as they like.
    strangers = [Scan(blobs(n).astype(np.float32), np.eye(4)) for n in (7, 8, 9)]
    prints = stacked([fingerprints_of(c) for c in (scans, [scans[0]] * 3, strangers)])
    assert [pair[:2] for pair in copies(prints, [0], [1, 2])] == [(0, 1)]


def test_one_scan_as_the_second_channel_of_two_patients_is_a_leak(tmp_path):
    for n in range(9):
        scan_file(tmp_path / f"a{n}.nii.gz", blobs(n))
        scan_file(tmp_path / f"b{n}.nii.gz", blobs(20 + n))
    mirrored = np.asarray(nib.load(tmp_path / "b0.nii.gz").dataobj)[::-1]
    scan_file(tmp_path / "b8.nii.gz", eight_bits(mirrored))
    rows = [f"a{n}.nii.gz,b{n}.nii.gz,{'xy'[n % 2]},{n}" for n in range(9)]
    rows[7] = rows[7].replace("b7", "b1")  # the very same file
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,channel_2,label,patient", *rows]))
    recipe = Recipe(3, RECIPE.steps, ("one", "two"))
    prepared = prepare_cases(read_labels(table), recipe)
    assert prepared.fingerprints.shape == (9, 2, 4097)
    leaks = find_leaks(prepared, Split((0, 1, 2, 3), (4, 5, 6), (7, 8)))
    assert sorted(leak.cases for leak in leaks) == [(0, 8), (1, 7)]
    assert {leak.kind for leak in leaks} == {"pixels"}


def test_a_set_of_colours_tells_its_copies(tmp_path):
    """Read from disk, with the second look: grey, exchanged channels, hue alone."""
    pictures = [hues_of_one_mean(n) for n in range(6)]
    random = np.random.default_rng(0)
    pictures = [p + random.normal(0, 3, p.shape) for p in pictures]
    pictures += [photograph("china.jpg"), photograph("flower.jpg")]
    pictures += [pictures[6][::-1, ..., ::-1], pictures[0][..., ::-1]]
    for n, picture in enumerate(pictures):
        save_color(in_color(picture).voxels, tmp_path / f"{n}.nii.gz")
    grey = np.rint(pictures[7] @ np.array(GREYS["BT.601"])).astype(np.uint8)
    scan_file(tmp_path / "10.nii.gz", grey)
    rows = [f"{n}.nii.gz,{'xy'[n % 2]},{n}" for n in range(11)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,patient", *rows]))
    recipe = Recipe(2, (("resample_shape", {"shape": [8, 8, None]}),))
    prepared = prepare_cases(read_labels(tmp_path), recipe)
    leaks = find_leaks(prepared, Split(tuple(range(8)), (), (8, 9, 10)))
    assert sorted(leak.cases for leak in leaks) == [(0, 9), (6, 8), (7, 10)]
