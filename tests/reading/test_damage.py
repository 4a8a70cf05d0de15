"""Whatever a file holds, reading ends in a scan, a reason, or one of our errors."""

import gzip
import io
import logging
import warnings
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian
from support.dicom_files import enhanced, pixels_of, plane, save, write_stack

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import ReadError, ResonanceError
from napari_resonance.reading import dicom_header
from napari_resonance.reading.siemens import read_csa

PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"
NIBABEL = Path(nibabel.__file__).parent
SEEDS = [
    PYDICOM / "CT_small.dcm",
    PYDICOM / "MR_small_RLE.dcm",
    PYDICOM / "MR_small_jpeg_ls_lossless.dcm",
    PYDICOM / "MR_small_jp2klossless.dcm",
    PYDICOM / "MR_small_bigendian.dcm",
    PYDICOM / "MR_small_implicit.dcm",
    PYDICOM / "image_dfl.dcm",
    PYDICOM / "SC_rgb_jpeg_gdcm.dcm",
    PYDICOM / "reportsi.dcm",
    PYDICOM / "dicomdirtests" / "DICOMDIR",
    NIBABEL / "nicom" / "tests" / "data" / "0.dcm",
    NIBABEL / "tests" / "data" / "standard.nii.gz",
    NIBABEL / "tests" / "data" / "example_nifti2.nii.gz",
    NIBABEL / "tests" / "data" / "resampled_anat_moved.nii",
]
EXTREMES = [bytes(4), b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]


@st.composite
def damaged(draw):
    """Return the name and the content of a real file with some damage in its header."""
    seed = draw(st.sampled_from(SEEDS))
    content = bytearray(seed.read_bytes())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, min(len(content) - 1, 6000))))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == 1:
            content[at : at + 4] = draw(st.sampled_from(EXTREMES))
        elif kind == 2:
            del content[at : at + draw(st.integers(1, 64))]
        elif kind == 3:
            content[at:at] = draw(st.binary(min_size=1, max_size=8))
        else:
            content = content[: max(at, 1)]
    name = seed.name if seed.suffix in (".gz", ".nii") else "DICOMDIR"
    return name, bytes(content)


@settings(
    max_examples=150,
    deadline=20_000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(damaged())
def test_damaged_real_files_end_in_a_scan_or_in_our_error(tmp_path, file):
    name, content = file
    path = tmp_path / name
    path.write_bytes(content)
    try:
        scans = read_scans(path)
    except ResonanceError as caught:
        scans, error = [], caught
    else:
        error = ReadError("", source=path)
    assert error.source
    assert len(str(error)) < 1000
    assert all(scan.voxels.size for scan in scans)
    read_scans(tmp_path)
    path.unlink()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_no_csa_header_or_give_numbers(content, modern):
    start = b"SV10\4\3\2\1\1\0\0\0M\0\0\0" if modern else b""
    assert isinstance(read_csa(start + content), dict)


@pytest.mark.parametrize("keep", [0, 1, 131, 132, 200, 600, 1500, -1])
def test_a_dicom_file_cut_anywhere_is_an_error_when_named(tmp_path, keep):
    whole = (PYDICOM / "MR_small.dcm").read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(whole[:keep] if keep >= 0 else whole[:-700])
    with pytest.raises(ReadError) as caught:
        read_scan(path)
    assert caught.value.source == str(path)
    assert read_scans(tmp_path) == []


def test_errors_quote_nothing_of_the_header(tmp_path):
    whole = save(plane(0, (0, 0, 0)), tmp_path / "x").read_bytes()
    at = whole.find(b"Doe^Jane")
    spoilt = whole[: at - 6] + b"QQ\xff\xff" + whole[at - 2 :]
    (tmp_path / "x").write_bytes(spoilt[: at + 60])
    told = []
    for path in (tmp_path, tmp_path / "x"):
        try:
            read_scans(path, on_skip=lambda _, why: told.append(why))
        except ReadError as error:
            told.append(str(error))
    assert told
    assert "Doe" not in " ".join(told)


def test_a_deflated_bomb_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_header, "_ALWAYS_INFLATE", 1 << 20)
    path = save(plane(0, (0, 0, 0)), tmp_path / "x", DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(bytes(1 << 25)) + packer.flush()
    path.write_bytes(content[: 144 + length] + packed)
    with pytest.raises(ReadError, match="its deflated content exceeds"):
        read_scan(path)


def test_a_gzip_bomb_in_a_nifti_name_is_read_no_further_than_its_header(tmp_path):
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        file.write(bytes(1 << 24))
    (tmp_path / "x.nii.gz").write_bytes(packed.getvalue())
    with pytest.raises(ReadError, match="is not a NIfTI or Analyze image"):
        read_scan(tmp_path / "x.nii.gz")


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelSpacing": [0.0, 0.0]},
        {"PixelSpacing": [-1.0, 1.0]},
        {"SliceThickness": 0.0},
        {"RescaleSlope": 0.0},
        {"ImagePositionPatient": [1e300, 0.0, 0.0]},
        {"NumberOfFrames": 0},
        {"BitsStored": 99},
        {"HighBit": 3},
        {"EchoTime": ""},
        {"InstanceNumber": ""},
    ],
)
def test_senseless_values_leave_the_image_readable_or_refused(tmp_path, tags):
    path = save(
        plane(2, (0, 0, 0), **({"ImagePositionPatient": [0.0] * 3} | tags)),
        tmp_path / "x",
    )
    try:
        scan = read_scan(path)
    except ReadError:
        return
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels_of(2).T)
    assert np.isfinite(scan.affine).all()


@pytest.mark.parametrize("number", [1e300, -1e9, 1e-300])
@pytest.mark.parametrize("key", ["ImagePositionPatient", "PixelSpacing"])
def test_absurd_numbers_in_a_series_are_no_crash(tmp_path, number, key):
    for n in range(4):
        count = 3 if key == "ImagePositionPatient" else 2
        tags = {key: [f"{number * (n + 1):.3g}"] * count}
        save(plane(n, (0, 0, 2 * n), **tags), tmp_path / str(n))
    for scan in read_scans(tmp_path):
        assert np.isfinite(scan.affine).all()


def test_numbers_that_are_none_count_as_absent(tmp_path):
    path = save(plane(2, (0, 0, 0)), tmp_path / "x")
    content = path.read_bytes()
    for written, spoilt in ((b"0.0\\0.0\\0.0 ", b"NaN\\0.0\\inf "), (b"2.0 ", b"abc ")):
        assert written in content
        content = content.replace(written, spoilt)
    path.write_bytes(content)
    scan = read_scan(path)
    assert not scan.oriented
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels_of(2).T)


@pytest.mark.parametrize("key", ["Rows", "Columns", "BitsAllocated", "PixelData"])
def test_an_image_without_what_describes_it_is_refused(tmp_path, key):
    write_stack(tmp_path / "good", (0, 2))
    save(plane(5, (0, 0, 4), **{key: None}), tmp_path / "bad")
    skips = []
    (scan,) = read_scans(tmp_path, on_skip=lambda p, why: skips.append((p.name, why)))
    assert scan.grid_shape[2] == 2
    assert [name for name, _ in skips] == ["bad"]


def test_an_enhanced_image_with_a_spoilt_group_is_no_crash(tmp_path):
    frames = [{"position": (0, 0, 2 * n)} for n in range(3)]
    made = enhanced(frames, np.stack([pixels_of(n) for n in range(3)]))
    del made.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    scans = read_scans(save(made, tmp_path / "x"))
    assert sum(scan.grid_shape[2] * scan.n_times for scan in scans) == 3


def test_the_parsers_neither_warn_nor_log_while_we_read(tmp_path, caplog):
    made = plane(0, (0, 0, 0))
    path = save(made, tmp_path / "x")
    spoilt = path.read_bytes().replace(b"1.2.3.4\0", b"Doe^Jane")
    path.write_bytes(spoilt)
    level, filters = logging.getLogger("pydicom").level, list(warnings.filters)
    read_scan(path)
    assert caplog.text == ""
    assert logging.getLogger("pydicom").level == level
    assert warnings.filters == filters


def test_two_readers_at_once_leave_the_filters_as_they_were():
    filters = list(warnings.filters)
    with dicom_header.quiet:
        with dicom_header.quiet:
            pass
        assert warnings.filters != filters
    assert warnings.filters == filters
