"""Statistics of the training scans: what is far away is flagged, and told why."""

from dataclasses import replace

import numpy as np
import pytest

from napari_resonance.classifier.bundle_checks import read_statistics
from napari_resonance.classifier.distribution import (
    DESCRIPTORS,
    TrainingStatistics,
    describe,
    fit_statistics,
    measure,
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


def photograph(seed):
    """An input of three channels: a texture, redder than it is green or blue."""
    random = np.random.default_rng(seed)
    texture = random.uniform(0.3, 1, (24, 20)).cumsum(axis=0) / 24
    tints = np.array([0.9, 0.55, 0.3]) + random.uniform(-0.05, 0.05, 3)
    array = tints[:, None, None] * texture + random.normal(0, 0.01, (3, 24, 20))
    return NetworkInput(
        np.clip(array, 0, 1)[None].astype(np.float32), Grid((24, 20, 1), np.eye(4))
    )


COLORS = ("red", "green", "blue")
PICTURE = Scan(np.ones((20, 24, 1, 3), np.uint8), np.eye(4), color=True)


@pytest.fixture
def of_colors(statistics):
    found = np.stack([measure(photograph(n).array) for n in range(30)])
    low, high = found.min(axis=0), found.max(axis=0)
    extra = 0.5 * (high - low) + 0.05
    return replace(statistics, lowest=low - extra, highest=high + extra)


def assessed(statistics, change):
    given = photograph(99)
    array = given.array.copy()
    array[0] = change(array[0])
    return statistics.assess(
        10 * np.eye(8)[0], replace(given, array=array), PICTURE, COLORS
    )


def one_channel(n, change):
    def changed(array):
        array[n] = change(array[n])
        return array

    return changed


def noise(values):
    random = np.random.default_rng(5)
    return random.uniform(size=values.shape).astype(np.float32)


def test_pictures_like_the_training_pictures_are_not_flagged(of_colors):
    odd = assessed(of_colors, lambda array: array)
    assert (odd.flag, odd.why) == (False, "")
    assert odd.score < 1


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (noise, "it looks like noise"),
        (np.zeros_like, "too little of it is bright"),
        (lambda values: 1 - values, "do not go together"),
    ],
)
def test_each_channel_is_looked_at(of_colors, channel, change, words):
    odd = assessed(of_colors, one_channel(channel, change))
    assert odd.flag
    assert odd.score > 1
    (mentioned,) = [why for why in odd.why.split("; ") if words in why]
    # What is said of the scan holds of all its channels.
    named = COLORS[channel] if "(" in mentioned else words
    assert named in mentioned


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_channels_in_another_order_are_told_by_their_levels(of_colors, order):
    odd = assessed(of_colors, lambda array: array[list(order)])
    assert odd.flag
    assert "darker" in odd.why


def test_what_holds_of_all_channels_is_said_of_the_scan(of_colors):
    odd = assessed(of_colors, lambda array: np.maximum(0, array - 0.9))
    assert "too little of it is bright" in odd.why.split("; ")


def test_models_that_looked_at_the_first_channel_go_on_to(of_colors, tmp_path):
    """Their limits say so, and their scores stay what they were."""
    low, high = of_colors.lowest[0, :4], of_colors.highest[0, :4]
    old = replace(of_colors, lowest=low, highest=high)
    old.save(tmp_path / "old.safetensors")
    old = TrainingStatistics.from_file(tmp_path / "old.safetensors")
    assert not assessed(old, one_channel(1, noise)).flag
    assert "it looks like noise" in assessed(old, one_channel(0, noise)).why


def test_limits_of_channels_survive_the_disk(of_colors, tmp_path):
    of_colors.save(tmp_path / "s.safetensors")
    again = TrainingStatistics.from_file(tmp_path / "s.safetensors")
    np.testing.assert_array_equal(again.highest, of_colors.highest)
    replace(of_colors, highest=of_colors.highest[:2]).save(tmp_path / "s.safetensors")
    with pytest.raises(ModelError, match="do not fit together"):
        TrainingStatistics.from_file(tmp_path / "s.safetensors")


def test_limits_of_other_channels_are_refused(of_colors, tmp_path):
    path = tmp_path / "s.safetensors"
    of_colors.save(path)
    assert read_statistics(path, (3, 8), 3) is not None
    with pytest.raises(ModelError, match="not those of this network"):
        read_statistics(path, (3, 8), 2)


def test_one_channel_is_measured_as_before(head):
    given = network_input(head).array
    np.testing.assert_array_equal(measure(given), describe(given))
    twice = np.concatenate([given, given], axis=1)
    assert measure(twice).shape == (2, 6)
    np.testing.assert_allclose(measure(twice)[:, :4], np.tile(describe(given), (2, 1)))
    assert np.isfinite(measure(0 * twice)).all()
