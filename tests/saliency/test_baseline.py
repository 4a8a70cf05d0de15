"""What a scan is compared with: one blur, one mean, one lowest value."""

from __future__ import annotations

import numpy as np
import pytest

from napari_resonance.saliency.baseline import BASELINES, baseline_of, channel_ranges


@pytest.mark.parametrize("kind", BASELINES)
def test_a_flat_input_is_its_own_baseline(kind: str):
    array = np.full((1, 2, 12, 24, 36), 3, np.float32)
    found = baseline_of(array, kind)
    assert found.shape == array.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, array, rtol=1e-6)


def test_a_point_is_spread_by_a_twelfth_of_each_side():
    shape = (61, 121, 241)
    array = np.zeros((1, 1, *shape), np.float32)
    array[0, 0, 30, 60, 120] = 1
    spread = baseline_of(array, "blur")[0, 0].astype(np.float64)
    for axis, n in enumerate(shape):
        line = spread.sum(axis=tuple(a for a in range(3) if a != axis))
        away = np.arange(n) - n // 2
        deviation = np.sqrt((line * away**2).sum() / line.sum())
        assert deviation == pytest.approx(n / 12, rel=0.02)


def test_slices_and_channels_are_kept_apart():
    array = np.zeros((2, 2, 24, 24), np.float32)
    array[1, 0, 12, 12] = 1
    spread = baseline_of(array, "blur")
    assert spread[1, 0].max() > 0
    assert not spread[0].any()
    assert not spread[1, 1].any()


def test_each_channel_has_its_own_range():
    array = np.zeros((2, 3, 4, 5), np.float32)
    array[1, 0, 2, 2] = 7
    array[0, 1] = np.linspace(-40, 60, 20).reshape(4, 5)
    found = channel_ranges(array)
    assert found.shape == (1, 3, 1, 1)
    np.testing.assert_allclose(found.ravel()[:2], (7, 100))
    assert 0 < found.ravel()[2] < 1e-3  # divided by
