"""Pixels come out as stored, from every encoding, in every odd form."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from support.dicom_files import LARGE, pixels_of, plane, save, set_pixels, write_stack

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import CancelledError, DependencyError, ReadError
from napari_resonance.reading import dicom_pixels
from napari_resonance.reading.isolated import TooSlowError

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_every_transfer_syntax_gives_the_same_voxels(tmp_path, syntax):
    for n in range(3):
        save(plane(n, (0, 0, 2 * n), LARGE), tmp_path / str(n), syntax)
    scan = read_scan(tmp_path)
    assert scan.voxels.dtype == np.int16
    for n in range(3):
        np.testing.assert_array_equal(scan.voxels[:, :, n], pixels_of(n, LARGE).T)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_every_integer_keeps_its_type(tmp_path, dtype, syntax):
    info = np.iinfo(dtype)
    pixels = np.linspace(info.min, info.max, 35).reshape(5, 7).astype(dtype)
    made = plane(0, (0, 0, 0))
    set_pixels(made, pixels)
    scan = read_scan(save(made, tmp_path / "x", syntax))
    assert scan.voxels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_point_pixels(tmp_path, dtype):
    pixels = (pixels_of(3) / 7).astype(dtype)
    made = plane(0, (0, 0, 0))
    del made.PixelData
    keyword = "FloatPixelData" if dtype == np.float32 else "DoubleFloatPixelData"
    setattr(made, keyword, pixels.tobytes())
    scan = read_scan(save(made, tmp_path / "x"))
    assert scan.voxels.dtype == dtype
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels.T)


def test_a_sign_that_stops_at_the_stored_bits_is_extended(tmp_path):
    values = np.array([[-2048, -1, 0], [1, 5, 2047]], np.int16)
    made = plane(0, (0, 0, 0))
    set_pixels(made, values & np.int16(0x0FFF))
    made.BitsStored, made.HighBit = 12, 11
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0], values.T)


def test_an_overlay_in_the_high_bits_is_cleared(tmp_path):
    values = np.arange(6, dtype=np.uint16).reshape(2, 3)
    made = plane(0, (0, 0, 0))
    set_pixels(made, values | np.uint16(0x8000))
    made.BitsStored, made.HighBit = 12, 11
    made.add_new(0x60000100, "US", 16)
    made.add_new(0x60000102, "US", 15)
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0], values.T)


def test_values_beyond_the_stored_bits_are_kept_where_no_overlay_explains_them(
    tmp_path,
):
    values = np.array([[0, 4095, 4096], [5000, 2, 3]], np.uint16)
    made = plane(0, (0, 0, 0))
    set_pixels(made, values)
    made.BitsStored, made.HighBit = 12, 11
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0], values.T)


def test_a_slope_of_each_slice_is_applied(tmp_path):
    slopes = (0.5, 1.0, 2.5)
    tags = {"Modality": "PT", "RescaleIntercept": 0}
    write_stack(tmp_path, (0, 2, 4), lambda n: {"RescaleSlope": slopes[n]}, **tags)
    scan = read_scan(tmp_path)
    assert (scan.slope, scan.intercept) == (1, 0)
    assert scan.voxels.dtype == np.float32
    for n, slope in enumerate(slopes):
        np.testing.assert_allclose(scan.voxels[:, :, n], pixels_of(n).T * slope)


def test_a_modality_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [3, 0, 16], "US"
    table.LUTData = np.array([500, 700, 900], np.uint16).tobytes()
    made = plane(0, None, Modality="CR", ModalityLUTSequence=[table])
    set_pixels(made, np.array([[0, 1], [2, 3]], np.uint16))
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0].T, [[500, 700], [900, 900]])
    assert "look-up table" in scan.warnings[-1]


def test_an_inverted_radiograph_stays_as_stored_and_says_so(tmp_path):
    tags = {"Modality": "DX", "PhotometricInterpretation": "MONOCHROME1"}
    scan = read_scan(save(plane(2, None, **tags), tmp_path / "x"))
    assert scan.meta["photometric_interpretation"] == "MONOCHROME1"
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels_of(2).T)


def test_frames_of_a_film_are_time_and_not_depth(tmp_path):
    made = plane(0, None, Modality="XA", ImageOrientationPatient=None)
    set_pixels(made, np.stack([pixels_of(n) for n in range(4)]))
    scan = read_scan(save(made, tmp_path / "x"))
    assert scan.shape == (7, 5, 1, 4)
    np.testing.assert_array_equal(scan.voxels[:, :, 0, 3], pixels_of(3).T)


def test_a_series_of_two_pixel_types_keeps_every_value(tmp_path):
    save(plane(0, (0, 0, 0)), tmp_path / "0")
    made = plane(1, (0, 0, 2))
    set_pixels(made, np.full((5, 7), 60000, np.uint16))
    save(made, tmp_path / "1")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels_of(0).T)
    assert (scan.voxels[:, :, 1] == 60000).all()


def _images_of_pydicom():
    """Return the images that come with pydicom; its parser warns of some."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [path for path in sorted(TEST_FILES.glob("*.dcm")) if _is_image(path)]


def _is_image(path):
    if not path.read_bytes()[:132].endswith(b"DICM"):
        return False
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    return "Rows" in dataset and dataset.get("Modality") not in ("RTDOSE", "SEG")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", _images_of_pydicom(), ids=lambda path: path.stem)
def test_voxels_equal_those_that_pydicom_decodes(path):
    dataset = pydicom.dcmread(path)
    try:
        expected = dataset.pixel_array
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        expected = None
    try:
        scan = read_scan(path)
    except ReadError:
        assert expected is None
        return
    if expected is None:
        assert path.stem in ("JPEG-lossy", "JPGExtended")  # 12 bits, by gdcm
        assert scan.voxels[140, 420, 0] == 244
        return
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        expected = pydicom.pixels.apply_color_lut(expected, dataset) >> 8
    size = (-1, dataset.Rows, dataset.Columns)
    planes = expected.reshape(size + ((3,) if scan.color else ()))
    found = scan.voxels.transpose(2, 1, 0, 3) if scan.color else scan.voxels.T
    np.testing.assert_array_equal(found.reshape(planes.shape), planes)


def test_a_damaged_slice_is_left_out_where_the_grid_stays_truthful(tmp_path):
    for n in range(5):
        save(plane(n, (0, 0, 2 * n), LARGE), tmp_path / f"{n}", JPEG2000Lossless)
    damaged = bytearray((tmp_path / "2").read_bytes())
    start = damaged.find(b"\xff\x4f\xff\x51")  # the code stream of JPEG 2000
    damaged[start : start + 60] = bytes(60)
    (tmp_path / "2").write_bytes(damaged)
    skips = []
    (scan,) = read_scans(tmp_path, on_skip=lambda p, why: skips.append((p.name, why)))
    assert scan.grid_shape[2] == 5
    assert scan.warnings[0] == "1 damaged file left out"
    assert scan.warnings[1].startswith("1 slice is missing after slice 2")
    np.testing.assert_array_equal(scan.voxels[:, :, 3], pixels_of(3, LARGE).T)
    ((name, reason),) = skips
    assert name == "2"
    assert reason.startswith("its pixels cannot be decoded")
    with pytest.raises(ReadError, match="its pixels cannot be decoded"):
        read_scan(tmp_path / "2")


def test_a_damaged_file_of_a_time_series_costs_its_volume(tmp_path):
    for t in range(3):
        tags = {"TemporalPositionIdentifier": t}
        for n in range(2):
            number = 2 * t + n
            made = plane(number, (0, 0, 2 * n), LARGE, **tags)
            save(made, tmp_path / f"{number}", JPEG2000Lossless)
    damaged = (tmp_path / "3").read_bytes().replace(b"\xff\x4f\xff\x51", bytes(4))
    (tmp_path / "3").write_bytes(damaged)
    scan = read_scan(tmp_path)
    assert scan.shape == (37, 48, 2, 2)
    assert "1 damaged file left out" in scan.warnings


def test_a_file_that_is_cut_short_is_told_from_its_header(tmp_path):
    whole = save(plane(0, (0, 0, 0)), tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(whole[:-20])
    with pytest.raises(ReadError, match="announces 70 bytes of pixels, 50 are there"):
        read_scan(tmp_path / "x")


def test_a_header_that_announces_gigabytes_is_not_believed(tmp_path):
    made = plane(0, (0, 0, 0))
    made.Rows = made.Columns = 65535
    with pytest.raises(ReadError, match=r"announces 8,589,672,450 bytes"):
        read_scan(save(made, tmp_path / "raw"))
    packed = save(plane(0, (0, 0, 0)), tmp_path / "packed", RLELossless)
    dataset = pydicom.dcmread(packed)
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(packed)
    with pytest.raises(ReadError, match=r"announces 8,589,672,450 bytes"):
        read_scan(packed)


def test_a_missing_decoder_names_its_package(tmp_path, monkeypatch):
    from pydicom.pixels.decoders.base import get_decoder

    path = save(plane(0, (0, 0, 0)), tmp_path / "x", JPEGLSLossless)
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    with pytest.raises(DependencyError, match="pip install pyjpegls"):
        read_scan(path)
    skips = []
    assert read_scans(tmp_path, on_skip=lambda _, why: skips.append(why)) == []
    assert "pip install pyjpegls" in skips[0]


def test_reading_stops_when_asked(tmp_path):
    write_stack(tmp_path, range(6))
    calls = iter([False] * 15 + [True] * 100)
    with pytest.raises(CancelledError, match="reading was stopped"):
        read_scans(tmp_path, should_stop=lambda: next(calls))


def test_after_three_endless_images_the_others_are_not_tried(tmp_path, monkeypatch):
    for n in range(8):
        save(plane(n, (0, 0, 2 * n), LARGE), tmp_path / str(n), JPEG2000Lossless)
    asked = []

    def endless(*_: object, **__: object) -> None:
        asked.append(1)
        raise TooSlowError("its decoder did not end")

    monkeypatch.setattr(dicom_pixels, "decode_frame", endless)
    monkeypatch.setattr(dicom_pixels, "_n_threads", lambda *_: 1)
    with pytest.raises(ReadError, match="did not end"):
        read_scan(tmp_path)
    assert len(asked) == 3
