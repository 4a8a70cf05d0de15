"""Statistics of the training scans: what is far away is flagged, and told why."""

from dataclasses import replace

import numpy as np
import pytest

from napari_resonance.classifier.distribution import (
    DESCRIPTORS,
    TrainingStatistics,
    describe,
    fit_statistics,
)
from napari_resonance.errors import ModelError
from napari_resonance.geometry import Grid
from napari_resonance.preprocessing import NetworkInput
from napari_resonance.scan import Scan

SCAN = Scan(np.ones((3, 3, 3), np.int16), np.eye(4), modality="MR")


def network_input(volume):
    return NetworkInput(
        volume[None, None].astype(np.float32), Grid(volume.shape, np.eye(4))
    )


@pytest.fixture
def head():
    x, y, z = np.indices((21, 25, 15)) - np.array([10, 12, 7])[:, None, None, None]
    inside = (x / 9) ** 2 + (y / 11) ** 2 + (z / 9) ** 2 < 1
    return inside * (0.5 + 0.02 * y)


@pytest.fixture
def statistics(head):
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], 60)
    features = random.normal(size=(180, 8)) + 10 * np.eye(3, 8)[targets]
    middle = describe(network_input(head).array)
    reach = np.array([0.2, 0.05, 0.3, 0.3])
    limits = (middle - reach, middle + reach)
    return fit_statistics(features, targets, 6.0, limits)


def test_a_scan_like_the_training_scans_is_not_flagged(statistics, head):
    odd = statistics.assess(10 * np.eye(8)[1], network_input(head), SCAN)
    assert not odd.flag
    assert odd.score < 1
    assert odd.why == ""


def test_features_between_the_labels_are_flagged(statistics, head):
    odd = statistics.assess(np.full(8, 9.0), network_input(head), SCAN)
    assert odd.flag
    assert odd.score > 1
    assert "contrast" in odd.why


def test_noise_half_a_head_and_a_sliver_are_told_apart(statistics, head):
    near = 10 * np.eye(8)[0]
    noise = np.random.default_rng(1).uniform(size=head.shape) * (head > 0)
    assert "noise" in statistics.assess(near, network_input(noise), SCAN).why
    half = head * (np.arange(21) < 9)[:, None, None]
    assert "halves" in statistics.assess(near, network_input(half), SCAN).why
    sliver = head * (np.arange(15) > 12)
    assert "too little" in statistics.assess(near, network_input(sliver), SCAN).why


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (Scan(np.ones((3, 3, 3, 9)), np.eye(4)), "series of 9 volumes"),
        (
            Scan(np.ones((3, 3, 3)), np.eye(4), meta={"diffusion_b_value": 1000.0}),
            "diff",
        ),
        (
            Scan(np.ones((3, 3, 3)), np.eye(4), meta={"image_type": ("A", "ADC")}),
            "diff",
        ),
    ],
)
def test_a_header_that_says_it_is_something_else_is_believed(
    statistics, head, scan, words
):
    odd = statistics.assess(10 * np.eye(8)[0], network_input(head), scan)
    assert odd.flag
    assert odd.score > 1
    assert words in odd.why


def test_the_distance_is_mahalanobis(statistics):
    features = np.linspace(0, 3, 8)
    precision = statistics.whitening @ statistics.whitening.T
    gaps = features - statistics.means
    expected = np.sqrt(np.einsum("ki,ij,kj->k", gaps, precision, gaps)).min()
    assert statistics.distance(features) == pytest.approx(expected)


def test_statistics_survive_the_disk(statistics, tmp_path):
    statistics.save(tmp_path / "s.safetensors")
    again = TrainingStatistics.from_file(tmp_path / "s.safetensors")
    for name in ("means", "whitening", "lowest", "highest", "limit"):
        np.testing.assert_array_equal(getattr(again, name), getattr(statistics, name))
    assert len(again.lowest) == len(DESCRIPTORS)


def test_damaged_statistics_are_refused(tmp_path):
    path = tmp_path / "s.safetensors"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0not safetensors")
    with pytest.raises(ModelError, match="damaged"):
        TrainingStatistics.from_file(path)


@pytest.mark.parametrize(
    "change",
    [
        {"limit": float("nan")},
        {"limit": 0.0},
        {"means": np.full((3, 8), np.nan)},
        {"means": np.zeros(8)},
        {"lowest": np.zeros(2)},
        {"whitening": np.zeros((3, 3))},
    ],
)
def test_statistics_that_do_not_fit_are_refused(statistics, tmp_path, change):
    replace(statistics, **change).save(tmp_path / "s.safetensors")
    with pytest.raises(ModelError, match="do not fit together"):
        TrainingStatistics.from_file(tmp_path / "s.safetensors")


def test_a_volume_without_orientation_is_never_like_the_training_scans(
    statistics, head
):
    lost = Scan(np.ones((3, 3, 3), np.int16), np.eye(4), oriented=False)
    odd = statistics.assess(10 * np.eye(8)[0], network_input(head), lost)
    assert odd.flag
    assert "orientation is not known" in odd.why


def test_the_slices_of_a_2d_input_are_described_together(head):
    slices = head.transpose(2, 1, 0)[:, None].astype(np.float32)
    y, x, z = head.shape[1], head.shape[0], head.shape[2]
    flat = NetworkInput(slices, Grid((y, x, z), np.eye(4)))
    np.testing.assert_allclose(
        describe(flat.array), describe(network_input(head).array)
    )


def test_a_blank_input_has_descriptors():
    assert np.isfinite(describe(network_input(np.zeros((4, 5, 6))).array)).all()


@pytest.mark.parametrize("kind", ["zero", "constant", "one a label"])
def test_features_without_any_spread_make_statistics(kind):
    values = {"zero": np.zeros((4, 8)), "constant": np.full((4, 8), 3e4)}
    values["one a label"] = np.tile(np.arange(16.0).reshape(2, 8), (2, 1))
    features = values[kind]
    limits = (np.zeros(4), np.ones(4))
    statistics = fit_statistics(features, [0, 1, 0, 1], 1.0, limits)
    assert np.isfinite(statistics.whitening).all()
    assert statistics.distance(features[0]) < 1e-6
    assert statistics.distance(features[0] + 1e5) > 10
