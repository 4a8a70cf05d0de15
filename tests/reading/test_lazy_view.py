"""What is cut out of, and turned in, a lazy array comes straight from its source."""

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_resonance.reading.lazy_view import LazyArray, View

SHAPE = (3, 5, 4, 6)


class Numbers:
    """Numbered voxels, which remember what was asked for."""

    def __init__(self):
        self.numbers = np.arange(np.prod(SHAPE)).reshape(SHAPE)
        self.shape = SHAPE
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return self.numbers[index]

    def read_all(self):
        self.asked.append("all")
        return self.numbers


def lazy(source):
    planes = da.from_array(source.numbers, chunks=(1, 1, *SHAPE[2:]))
    return LazyArray(planes, View.of(source))


def refused(*_, **__):
    raise AssertionError("dask was asked")


def indices(n):
    """Return integers and slices of an axis, negative ones and steps among them."""
    bounds = st.none() | st.integers(-n, n)
    steps = st.sampled_from([None, 1, 2, -1, -2])
    slices = st.builds(slice, bounds, bounds, steps)
    return st.integers(-n, n - 1) | slices if n else slices


@given(st.data())
def test_parts_and_turns_are_those_of_numpy(data):
    source = Numbers()
    found, wanted = lazy(source), source.numbers
    for _ in range(3):
        if not wanted.ndim:
            break
        if data.draw(st.booleans()):
            order = tuple(data.draw(st.permutations(range(wanted.ndim))))
            found, wanted = found.transpose(order), wanted.transpose(order)
        n = data.draw(st.integers(0, wanted.ndim))
        index = tuple(data.draw(indices(size)) for size in wanted.shape[:n])
        if data.draw(st.booleans()):
            index = (..., *index) if n == wanted.ndim else (*index, ...)
        found, wanted = found[index], wanted[index]
    assert found.shape == wanted.shape
    with dask.config.set(scheduler=refused):
        np.testing.assert_array_equal(np.asarray(found), wanted)
    np.testing.assert_array_equal(found.compute(scheduler="sync"), wanted)


def test_only_what_is_shown_is_read():
    source = Numbers()
    np.asarray(lazy(source)[1].T[:, :, 2])
    assert source.asked == [(1, 2, slice(0, 4, 1), slice(0, 6, 1))]


def test_all_is_read_at_once():
    source = Numbers()
    np.asarray(lazy(source)[:, ::-1].T)
    assert source.asked != ["all"]
    source.asked.clear()
    np.asarray(lazy(source).T)
    assert source.asked == ["all"]


@pytest.mark.parametrize("index", [np.array([0, 2]), [0, 2], None])
def test_other_indices_are_left_to_dask(index):
    source = Numbers()
    found = lazy(source)[index]
    np.testing.assert_array_equal(found, source.numbers[index])
    assert not isinstance(found, LazyArray)


def test_arithmetic_is_left_to_dask():
    source = Numbers()
    np.testing.assert_array_equal(lazy(source).T + 1, source.numbers.T + 1)
    assert np.asarray(lazy(source), np.float32).dtype == np.float32
    assert lazy(source).sum().compute() == source.numbers.sum()
