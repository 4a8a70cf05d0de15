"""A lazy scan holds what an eager one holds, read when it is looked at."""

import gzip
import os
import pickle
import signal
import threading
import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import JPEG2000Lossless, RLELossless
from support.dicom_files import pixels_of, plane, save, set_pixels, write_stack
from support.phantoms import phantom, write_dicom_series

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import DependencyError, ReadError
from napari_resonance.reading import lazy
from napari_resonance.reading.volumes import Volumes

pytest.importorskip("dask.array", reason="dask comes with napari")

SIZE = (60, 50)
TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def read_lazy(path):
    (scan,) = read_scans(path, lazy_over=0)
    assert scan.is_lazy
    return scan


def assert_same(path):
    eager, scan = read_scan(path), read_lazy(path)
    assert scan.same_as(eager)
    planes = scan.voxels.T
    assert planes.shape == eager.voxels.T.shape
    if not scan.color:
        for k in range(scan.shape[2]):
            np.testing.assert_array_equal(scan.slice(k), eager.slice(k))


def test_only_scans_over_the_size_are_lazy(tmp_path):
    write_stack(tmp_path, range(3))
    (scan,) = read_scans(tmp_path)
    assert not scan.is_lazy
    (scan,) = read_scans(tmp_path, lazy_over=scan.voxels.nbytes)
    assert not scan.is_lazy
    (scan,) = read_scans(tmp_path, lazy_over=scan.voxels.nbytes - 1)
    assert scan.is_lazy


def test_a_plane_is_read_without_the_others(tmp_path):
    for n in range(40):
        save(plane(n, (0, 0, 2 * n), SIZE), tmp_path / f"{n:02d}")
    scan = read_lazy(tmp_path)
    for n in (*range(3, 20), *range(25, 40)):
        (tmp_path / f"{n:02d}").unlink()
    np.testing.assert_array_equal(scan.voxels[:, :, 22], pixels_of(22, SIZE).T)
    with pytest.raises(ReadError, match="its pixels cannot be decoded"):
        np.asarray(scan.voxels[:, :, 7])


@pytest.mark.parametrize("slopes", [(1, 1, 1), (0.5, 1.0, 2.5)])
def test_slopes_of_each_slice(tmp_path, slopes):
    write_stack(tmp_path, (0, 2, 4), lambda n: {"RescaleSlope": slopes[n]})
    assert_same(tmp_path)


@pytest.mark.parametrize("places", [(0, 2, 4, 8, 10), (0, 2, 4.8, 7, 9.1, 12)])
def test_planes_between_those_that_are_there(tmp_path, places):
    write_stack(tmp_path, places)
    assert_same(tmp_path)


def test_time_points(tmp_path):
    for t in range(3):
        for n in range(4):
            tags = {"TemporalPositionIdentifier": t}
            made = plane(4 * t + n, (0, 0, 2 * n), SIZE, **tags)
            save(made, tmp_path / f"{t}{n}", RLELossless)
    assert_same(tmp_path)


def test_signs_and_overlays_in_the_high_bits(tmp_path):
    for n in range(2):
        made = plane(n, (0, 0, n))
        values = np.array([[-2048, -1, 0], [1, n, 2047]], np.int16)
        set_pixels(made, values & np.int16(0x0FFF))
        made.BitsStored, made.HighBit = 12, 11
        save(made, tmp_path / str(n))
    assert_same(tmp_path)


def test_mosaics(tmp_path):
    data = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
    for weight in (0, 1000):
        packed = (data / f"siemens_dwi_{weight}.dcm.gz").read_bytes()
        (tmp_path / f"{weight}.dcm").write_bytes(gzip.decompress(packed))
    assert read_lazy(tmp_path).voxels.numblocks == (1, 1, 1, 2)
    assert_same(tmp_path)


def test_a_look_up_table_is_applied_at_once(tmp_path):
    table = pydicom.Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [3, 0, 16], "US"
    table.LUTData = np.array([500, 700, 900], np.uint16).tobytes()
    made = plane(0, None, Modality="CR", ModalityLUTSequence=[table])
    (scan,) = read_scans(save(made, tmp_path / "x"), lazy_over=0)
    assert not scan.is_lazy


@pytest.mark.parametrize(
    "name", ["SC_rgb_rle_2frame", "examples_ybr_color", "SC_rgb_jpeg_gdcm"]
)
def test_colours(name):
    assert_same(TEST_FILES / f"{name}.dcm")


@pytest.mark.parametrize("name", ["oblique", "sheared"])
def test_a_phantom_lies_where_it_should(tmp_path, name):
    assert_same(write_dicom_series(phantom(name)[0], tmp_path))


def test_a_damaged_plane_is_an_error_and_its_neighbours_are_not(tmp_path):
    for n in range(30):
        made = plane(n, (0, 0, 2 * n), SIZE)
        path = save(made, tmp_path / f"{n:02d}", JPEG2000Lossless)
        if n == 9:
            content = path.read_bytes()
            path.write_bytes(content.replace(b"\xff\x4f\xff\x51", bytes(4)))
    scan = read_lazy(tmp_path)
    for _ in range(2):
        for n in range(30):
            if n == 9:
                with pytest.raises(ReadError, match=r"09: its pixels cannot"):
                    np.asarray(scan.voxels[:, :, n])
            else:
                found = np.asarray(scan.voxels[:, :, n])
                np.testing.assert_array_equal(found, pixels_of(n, SIZE).T)


@settings(max_examples=30, deadline=None)
@given(looks=st.lists(st.integers(0, 39), min_size=1, max_size=30))
def test_planes_come_in_any_order(tmp_path_factory, looks):
    folder = tmp_path_factory.getbasetemp() / "any_order"
    if not folder.exists():
        for n in range(40):
            save(plane(n, (0, 0, 2 * n), SIZE), folder / f"{n:02d}")
    scan = read_lazy(folder)
    for n in looks:
        found = np.asarray(scan.voxels[:, :, n])
        np.testing.assert_array_equal(found, pixels_of(n, SIZE).T)


def test_little_is_kept_of_what_was_read(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "_KEPT_BYTES", 1)
    monkeypatch.setattr(lazy, "_AHEAD_BYTES", 4 * 2 * SIZE[0] * SIZE[1])
    for n in range(60):
        save(plane(n, (0, 0, 2 * n), SIZE), tmp_path / f"{n:02d}")
    made = []
    original = lazy.LazyPlanes.__init__
    monkeypatch.setattr(
        lazy.LazyPlanes,
        "__init__",
        lambda self, volumes: made.append(self) or original(self, volumes),
    )
    scan = read_lazy(tmp_path)
    for n in (*range(60), *reversed(range(60))):
        found = np.asarray(scan.voxels[:, :, n])
        np.testing.assert_array_equal(found, pixels_of(n, SIZE).T)
        assert len(made[0]._blocks) <= 9


def test_a_lazy_scan_can_be_pickled(tmp_path):
    write_stack(tmp_path, range(3))
    scan = read_lazy(tmp_path)
    assert pickle.loads(pickle.dumps(scan)).same_as(scan)


def test_without_dask_the_error_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "dask.array", None)
    write_stack(tmp_path, range(3))
    files = sorted(tmp_path.iterdir())
    with pytest.raises(DependencyError, match=r"napari-resonance\[gui\]"):
        read_scans(files, lazy_over=0)


def test_the_working_folder_may_change(tmp_path, monkeypatch):
    write_stack(tmp_path / "series", range(3))
    monkeypatch.chdir(tmp_path)
    eager, scan = read_scan("series"), read_lazy("series")
    monkeypatch.chdir("/")
    assert scan.same_as(eager)


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, MemoryError])
def test_a_plane_can_be_looked_at_again_after_an_interruption(
    tmp_path, monkeypatch, trouble
):
    write_stack(tmp_path, range(3))
    eager, scan = read_scan(tmp_path), read_lazy(tmp_path)

    def interrupted(*arguments):
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(Volumes, "load_planes", interrupted)
        with pytest.raises(trouble):
            scan.voxels[:, :, 1].compute(scheduler="synchronous")
    assert scan.same_as(eager)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system knows no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_a_thread_that_it_has_not(
    tmp_path, monkeypatch
):
    write_stack(tmp_path, range(9))
    scan, go_on = read_lazy(tmp_path), threading.Event()
    load = Volumes.load_planes

    def slow(*arguments):
        if threading.current_thread() is not threading.main_thread():
            go_on.wait(60)
        return load(*arguments)

    monkeypatch.setattr(Volumes, "load_planes", slow)
    scan.voxels[:, :, 0].compute(scheduler="synchronous")
    child = os.fork()
    if child == 0:
        found = scan.voxels[:, :, 5].compute(scheduler="synchronous")
        os._exit(0 if np.array_equal(found, pixels_of(5).T) else 1)
    ended, status = 0, 1
    deadline = time.monotonic() + 30
    while not ended and time.monotonic() < deadline:
        time.sleep(0.02)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    go_on.set()
    assert ended
    assert status == 0


def test_without_a_thread_to_spare_nothing_is_read_ahead(tmp_path, monkeypatch):
    write_stack(tmp_path, range(9))
    eager, scan = read_scan(tmp_path), read_lazy(tmp_path)

    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    for k in range(9):
        found = scan.voxels[:, :, k].compute(scheduler="synchronous")
        np.testing.assert_array_equal(found, eager.voxels[:, :, k])
