"""Frames are decoded on all cores, in processes that can be lost."""

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from support.dicom_files import LARGE, pixels_of, plane, save, set_pixels

from napari_resonance import read_scan, read_scans
from napari_resonance.reading import dicom_decoding, dicom_pixels
from napari_resonance.reading.decoder_pool import DecoderPool
from napari_resonance.reading.dicom_header import DamagedError
from napari_resonance.reading.sharing import share_out

JPEG = Path(pydicom.__file__).parent / "data" / "test_files" / "SC_rgb_jpeg_gdcm.dcm"
WHOLE_FILE = {"path": str(JPEG), "dtype": "|u1"}
SIZE = (300, 400)


@pytest.fixture
def pool():
    made = DecoderPool(2)
    yield made
    made.close()


@pytest.fixture
def used_pool(pool, monkeypatch):
    for module in (dicom_decoding, dicom_pixels):
        monkeypatch.setattr(module, "decoder_pool", pool)
    return pool


def write_series(folder, syntax, count=12):
    for n in range(count):
        save(plane(n, (0, 0, 2 * n), SIZE), folder / f"{n:02d}", syntax)


def test_threads_share_no_more_helpers_than_there_are(pool):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(pool.decode(WHOLE_FILE)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert all(np.array_equal(answers[0], other) for other in answers)
    assert len(pool._made) <= 2


def test_a_lone_thread_starts_one_helper(pool):
    assert not pool.is_running
    for _ in range(3):
        pool.decode(WHOLE_FILE)
    assert len(pool._made) == 1
    pool.warm(2)
    assert len(pool._made) == 2


def test_a_helper_that_was_killed_is_replaced(pool):
    before = pool.decode(WHOLE_FILE)
    pool._made[0].start().kill()
    time.sleep(0.2)
    assert np.array_equal(pool.decode(WHOLE_FILE), before)


def test_a_frame_goes_straight_into_its_plane(pool):
    out = np.empty(100 * 100 * 3, np.uint8)
    assert pool.decode(WHOLE_FILE, out=out) is out
    other = np.empty(7, np.uint8)
    assert np.array_equal(pool.decode(WHOLE_FILE, out=other), out)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded")
def test_a_forked_process_leaves_the_helpers_alone(used_pool):
    os.register_at_fork(after_in_child=used_pool.forget)
    before = used_pool.decode(WHOLE_FILE)
    child = os.fork()
    if child == 0:
        same = np.array_equal(used_pool.decode(WHOLE_FILE), before)
        used_pool.close()
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(used_pool.decode(WHOLE_FILE), before)


@pytest.mark.parametrize(
    "syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=lambda u: u.keyword
)
def test_a_series_is_decoded_by_several_helpers(tmp_path, used_pool, syntax):
    write_series(tmp_path, syntax, 40)
    scan = read_scan(tmp_path)
    assert len(used_pool._made) == 2
    for n in range(40):
        np.testing.assert_array_equal(scan.voxels[:, :, n], pixels_of(n, SIZE).T)


def test_a_small_image_that_plain_python_decodes_starts_no_process(tmp_path, used_pool):
    read_scan(save(plane(0, (0, 0, 0), SIZE), tmp_path / "x", RLELossless))
    assert not used_pool.is_running


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_the_frames_of_one_file_are_shared_out(tmp_path, used_pool, syntax):
    frames = np.stack([pixels_of(n, SIZE) for n in range(40)])
    made = plane(0, None, Modality="XA", ImageOrientationPatient=None)
    set_pixels(made, frames)
    scan = read_scan(save(made, tmp_path / "x", syntax))
    assert len(used_pool._made) == 2
    np.testing.assert_array_equal(scan.voxels[:, :, 0].T, frames)


def test_damaged_files_of_a_series_are_named_in_order(tmp_path, used_pool):
    write_series(tmp_path, JPEG2000Lossless, 40)
    for name in ("30", "07"):
        content = bytearray((tmp_path / name).read_bytes())
        start = content.find(b"\xff\x4f\xff\x51")
        content[start + 50 :] = bytes(len(content) - start - 50)
        (tmp_path / name).write_bytes(content)
    skipped = []
    (scan,) = read_scans(tmp_path, on_skip=lambda path, _: skipped.append(path.name))
    assert skipped == ["07", "30"]
    assert "2 damaged files left out" in scan.warnings
    np.testing.assert_array_equal(scan.voxels[:, :, 29], pixels_of(29, SIZE).T)


def test_rle_that_ends_its_decoder_is_an_error_here(pool):
    # pylibjpeg-rle 2.2 panics over a segment that begins beyond the frame.
    segments = (1).to_bytes(4, "little") + (10**6).to_bytes(4, "little") + bytes(56)
    options = {
        "bits_allocated": 8,
        "bits_stored": 8,
        "columns": 4,
        "number_of_frames": 1,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_keyword": "PixelData",
        "pixel_representation": 0,
        "rows": 4,
        "samples_per_pixel": 1,
    }
    request = {"syntax": str(RLELossless), "plugin": "pylibjpeg", "options": options}
    with pytest.raises(DamagedError):
        pool.decode(request, segments)
    assert pool.decode(WHOLE_FILE).size == 30000


def test_helpers_end_with_the_process_that_started_them(tmp_path):
    import subprocess

    code = (
        "import os, signal\n"
        "from napari_resonance.reading.decoder_pool import decoder_pool\n"
        "decoder_pool.warm()\n"
        "print(decoder_pool._made[0].start().pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, text=True
    )
    helper = int(done.stdout)
    for _ in range(100):
        if not _runs(helper):
            return
        time.sleep(0.1)
    pytest.fail("the helper outlived its process")


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("n_threads", [1, 3])
def test_tasks_stop_at_the_first_error(n_threads):
    begun = []

    def task(n):
        begun.append(n)
        if n == 2:
            raise KeyError(n)

    with pytest.raises(KeyError):
        share_out(iter([lambda n=n: task(n) for n in range(1000)]), n_threads)
    assert len(begun) < 1000


def test_an_error_of_the_tasks_source_is_raised():
    def tasks():
        yield lambda: None
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        share_out(tasks(), 2)


def test_lone_frames_come_out_as_those_of_a_series(tmp_path, used_pool):
    path = save(plane(3, (0, 0, 0), LARGE), tmp_path / "x", JPEG2000Lossless)
    alone = read_scan(path)
    used_pool.warm()
    assert read_scan(path).same_as(alone)
