"""Intensity steps against their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from napari_resonance.preprocessing import intensity
from napari_resonance.preprocessing.grid import Prepared


def volume(values):
    return Prepared(np.asarray(values, np.float32), np.eye(4))


@pytest.fixture
def head():
    random = np.random.default_rng(0)
    values = random.gamma(2.0, 100.0, (20, 21, 22)).astype(np.float32)
    values[:6] = 0
    return values


def test_ranks_are_those_of_the_foreground(head):
    ranks = intensity.foreground_ranks(head, 0.08)
    inside = head > 0.08 * np.percentile(head, 99)
    expected = (rankdata(head[inside]) - 0.5) / inside.sum()
    np.testing.assert_allclose(ranks[inside], expected, atol=1e-5)
    assert not ranks[~inside].any()


@given(st.floats(0.3, 3), st.floats(0.01, 1000))
def test_ranks_do_not_change_with_gain_or_gamma(gamma, gain):
    head = np.random.default_rng(1).uniform(0.5, 1, (8, 9, 10)).astype(np.float32)
    one = intensity.foreground_ranks(head, 0.05)
    other = intensity.foreground_ranks((gain * head**gamma).astype(np.float32), 0.05)
    np.testing.assert_allclose(one, other, atol=2e-3)


def test_equal_values_share_a_rank():
    values = np.array([[[0, 1, 1, 2]]], np.float32)
    ranks = intensity.foreground_ranks(values, 0.1)
    np.testing.assert_allclose(ranks, [[[0, 1 / 3, 1 / 3, 5 / 6]]], atol=1e-6)


@pytest.mark.parametrize("step", ["percentile", "zscore", "rank"])
def test_a_constant_volume_gives_zeros_and_a_warning(step):
    result = getattr(intensity, step)(volume(np.full((4, 5, 6), 7)))
    assert not result.values.any()
    assert result.warnings == ("all voxels have the same value",)


def test_a_ct_window_is_clipped_at_its_ends():
    result = intensity.ct_window(volume([[[-2000, -100, 0, 300, 3000]]]), -100, 300)
    np.testing.assert_allclose(result.values, [[[0, 0, 0.25, 1, 1]]])


def test_eight_bit_colours_have_imagenets_statistics():
    result = intensity.uint8_imagenet(volume([[[0.0, 0.5019, 1.0]]]))
    assert result.values.shape == (1, 1, 3, 3)
    red = result.values[0, 0, :, 0] * 0.229 + 0.485
    np.testing.assert_allclose(red * 255, [0, 128, 255], atol=1e-3)
