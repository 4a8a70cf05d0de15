"""Where the voxels of NIfTI files lie, and damage told in a sentence."""

import gzip
import subprocess
import sys
import zlib

import nibabel
import numpy as np
import pytest
from support.nifti_files import AFFINE, NIBABEL_DATA, VOXELS, image, saved

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import ReadError
from napari_resonance.reading import gzip_stream


@pytest.mark.parametrize("ending", [".hdr", ".img"])
def test_a_pair_is_one_scan_whichever_file_is_named(tmp_path, ending):
    nibabel.save(nibabel.Nifti1Pair(VOXELS, AFFINE), tmp_path / "x.hdr")
    scan = read_scan(tmp_path / f"x{ending}")
    np.testing.assert_array_equal(scan.voxels, VOXELS)
    assert [path.name for path in scan.sources] == ["x.hdr", "x.img"]
    assert len(read_scans(tmp_path)) == 1


def test_a_pair_without_its_voxels_is_an_error():
    with pytest.raises(ReadError, match=r"nifti1\.img is missing"):
        read_scan(NIBABEL_DATA / "nifti1.hdr")


@pytest.mark.parametrize("keep", [10, 200, 352, 400, 500])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_file_that_is_cut_short_is_an_error(tmp_path, keep, ending):
    path = saved(image(), tmp_path / f"x{ending}")
    path.write_bytes(path.read_bytes()[: keep if ending == ".nii" else keep // 4])
    with pytest.raises(ReadError) as caught:
        read_scan(path)
    assert caught.value.source == str(path)
    assert caught.value.remedy


def test_a_header_that_announces_terabytes_is_not_believed(tmp_path):
    made = image()
    made.header["dim"][:5] = (4, 30000, 30000, 30000, 10)
    for ending in (".nii", ".nii.gz"):
        with pytest.raises(ReadError, match="cut short"):
            read_scan(saved(made, tmp_path / f"x{ending}"))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.skipif(np.dtype(np.longdouble).itemsize != 16, reason="needs 128 bits")
def test_numbers_of_128_bits_are_rounded_to_64(tmp_path, ending, order):
    # nibabel cannot write them on a processor of Intel.
    path = saved(image(VOXELS.astype(np.float64)), tmp_path / "x.nii")
    header = bytearray(path.read_bytes()[:352])
    numbers = (VOXELS.astype(np.longdouble) / 3).tobytes(order="F")
    header[70:74] = np.array([1536, 128], "<i2").tobytes()
    if order == ">":
        swapped = nibabel.Nifti1Header(bytes(header[:348]), check=False)
        header[:348] = swapped.as_byteswapped(">").binaryblock
        numbers = np.frombuffer(numbers, "V16").view("u1").reshape(-1, 16)
        numbers = numbers[:, ::-1].tobytes()
    content = bytes(header) + numbers
    packed = ending == ".nii.gz"
    (tmp_path / f"x{ending}").write_bytes(gzip.compress(content) if packed else content)
    scan = read_scan(tmp_path / f"x{ending}")
    np.testing.assert_array_equal(scan.voxels, VOXELS / 3)
    assert "rounded to 64 bits" in scan.warnings[-1]


def test_a_plain_file_is_mapped_and_survives(tmp_path):
    path = saved(image(), tmp_path / "x.nii")
    scan = read_scan(path)
    assert isinstance(scan.voxels, np.memmap)
    assert not scan.voxels.flags.writeable
    # A compressed one lies in memory, once.
    packed = read_scan(saved(image(), tmp_path / "y.nii.gz"))
    assert not isinstance(packed.voxels, np.memmap)
    assert packed.voxels.T.flags.c_contiguous


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
def test_the_other_byte_order_is_turned(tmp_path, ending, dtype):
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(dtype)
    nibabel.save(
        nibabel.Nifti1Image(VOXELS.astype(dtype), AFFINE, header),
        tmp_path / f"x{ending}",
    )
    scan = read_scan(tmp_path / f"x{ending}")
    assert scan.voxels.dtype == np.dtype(dtype)
    assert scan.voxels.dtype.isnative
    np.testing.assert_array_equal(scan.voxels, VOXELS)


def with_offset(tmp_path, offset, name="x.nii"):
    """Write an image whose voxels start at a byte of our choice."""
    path = saved(image(), tmp_path / name)
    content = bytearray(path.read_bytes())
    content[108:112] = np.float32(offset).tobytes()
    content[352:352] = bytes(max(int(offset) - 352, 0))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("offset", [352, 353, 368, 1001, 4096])
def test_voxels_may_start_anywhere_behind_the_header(tmp_path, offset):
    scan = read_scan(with_offset(tmp_path, offset))
    np.testing.assert_array_equal(scan.voxels, VOXELS)
    assert scan.voxels.flags.aligned
    assert scan.warnings == ()


@pytest.mark.parametrize(
    ("offset", "said"), [(0, ""), (100, "read from byte 352"), (4, "lets the voxels")]
)
def test_voxels_cannot_start_within_the_header(tmp_path, offset, said):
    scan = read_scan(with_offset(tmp_path, offset))
    np.testing.assert_array_equal(scan.voxels, VOXELS)
    assert said in "".join(scan.warnings)


@pytest.mark.parametrize("offset", [np.nan, np.inf, -5])
def test_voxels_must_start_somewhere(tmp_path, offset):
    path = with_offset(tmp_path, 352)
    content = bytearray(path.read_bytes())
    content[108:112] = np.float32(offset).tobytes()
    path.write_bytes(content)
    with pytest.raises(ReadError, match="which cannot be"):
        read_scan(path)


def test_extensions_are_passed_over(tmp_path):
    made = image()
    made.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"note" * 50))
    nibabel.save(made, tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(read_scan(tmp_path / "x.nii.gz").voxels, VOXELS)


def test_an_axis_without_length_counts_as_one(tmp_path):
    path = saved(image(), tmp_path / "x.nii")
    content = bytearray(path.read_bytes())
    content[40:56] = np.array([4, 4, 5, 6, 0, 0, 0, 0], "<i2").tobytes()
    path.write_bytes(content)
    scan = read_scan(path)
    assert scan.shape == (4, 5, 6)
    assert "gives an axis no length" in scan.warnings[0]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_volumes_that_the_header_forgets_are_said(tmp_path, ending):
    path = saved(image(np.zeros((4, 5, 6, 3), np.int16)), tmp_path / f"x{ending}")
    content = path.read_bytes()
    content = bytearray(gzip.decompress(content) if ending == ".nii.gz" else content)
    content[40:42] = b"\3\0"
    path.write_bytes(gzip.compress(content) if ending == ".nii.gz" else content)
    scan = read_scan(path)
    assert scan.shape == (4, 5, 6)
    assert "more voxels than its header tells of" in scan.warnings[0]


@pytest.mark.parametrize("isal", [True, False])
class TestTheEndOfAGzipFile:
    @pytest.fixture(autouse=True)
    def inflated_by(self, isal, monkeypatch):
        if not isal:
            monkeypatch.setattr(gzip_stream, "_inflater", lambda: zlib)

    @pytest.mark.parametrize("missing", [1, 4, 8])
    def test_a_missing_checksum_is_said(self, tmp_path, missing):
        path = saved(image(), tmp_path / "x.nii.gz")
        path.write_bytes(path.read_bytes()[:-missing])
        scan = read_scan(path)
        np.testing.assert_array_equal(scan.voxels, VOXELS)
        assert "checksum of its voxels cannot be verified" in scan.warnings[0]

    @pytest.mark.parametrize("at", [-8, -4])
    @pytest.mark.parametrize("size", [5, 500])
    def test_a_wrong_checksum_or_size_is_an_error(self, tmp_path, at, size):
        voxels = np.random.default_rng(0).integers(0, 99, (size, size, 6), np.int16)
        path = saved(image(voxels), tmp_path / "x.nii.gz")
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)
        with pytest.raises(ReadError, match=r"cannot be (read|decompressed)"):
            read_scan(path)

    def test_members_that_follow_one_another_are_joined(self, tmp_path):
        path = saved(image(), tmp_path / "x.nii")
        content = path.read_bytes()
        parts = (content[:100], content[100:400], content[400:])
        packed = tmp_path / "y.nii.gz"
        packed.write_bytes(b"".join(map(gzip.compress, parts)) + bytes(100))
        scan = read_scan(packed)
        np.testing.assert_array_equal(scan.voxels, VOXELS)
        assert scan.warnings == ()

    def test_what_follows_the_last_member_is_said(self, tmp_path):
        path = saved(image(), tmp_path / "x.nii.gz")
        path.write_bytes(path.read_bytes() + b"something else" * 10)
        scan = read_scan(path)
        np.testing.assert_array_equal(scan.voxels, VOXELS)
        assert "something follows its end" in scan.warnings[0]

    def test_a_file_cut_within_its_voxels_is_an_error(self, tmp_path):
        voxels = np.random.default_rng(0).integers(0, 999, (40, 50, 60), np.int16)
        path = saved(image(voxels), tmp_path / "x.nii.gz")
        path.write_bytes(path.read_bytes()[:-5000])
        with pytest.raises(ReadError, match=r"decompressed|cut short"):
            read_scan(path)


@pytest.mark.parametrize(
    ("header", "voxels"),
    [("x.hdr", "x.img.gz"), ("x.hdr.gz", "x.img"), ("x.HDR", "x.IMG")],
)
def test_a_pair_may_be_packed_by_halves_or_named_in_capitals(tmp_path, header, voxels):
    nibabel.save(nibabel.Nifti1Pair(VOXELS, AFFINE), tmp_path / "p.hdr")
    for old, new in ((".hdr", header), (".img", voxels)):
        content = (tmp_path / f"p{old}").read_bytes()
        (tmp_path / f"p{old}").unlink()
        packed = gzip.compress(content) if new.endswith(".gz") else content
        (tmp_path / new).write_bytes(packed)
    for path in (tmp_path, tmp_path / header, tmp_path / voxels):
        scan = read_scan(path)
        np.testing.assert_array_equal(scan.voxels, VOXELS)
        assert [source.name for source in scan.sources] == [header, voxels]


def test_voxels_without_their_header_say_what_is_missing(tmp_path):
    (tmp_path / "x.img").write_bytes(bytes(5000))
    with pytest.raises(ReadError, match=r"x\.hdr is missing"):
        read_scan(tmp_path / "x.img")


def test_nibabel_is_not_imported_to_read(tmp_path):
    path = saved(image(qform=1), tmp_path / "x.nii.gz")
    code = (
        "import sys; from napari_resonance import read_scan; "
        f"read_scan({str(path)!r}); "
        "raise SystemExit('nibabel' in sys.modules or 'pydicom' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
