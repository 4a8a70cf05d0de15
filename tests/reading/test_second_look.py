"""Images come out of headers that break the rules of their encoding."""

import struct

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian
from support.dicom_files import pixels_of, plane, save

from napari_resonance import read_scan
from napari_resonance.errors import ReadError

LITTLE, BIG = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"


def written(path, **kwargs):
    """Return the bytes of an image, and where its patient's name begins."""
    content = save(plane(3, (1, 2, 3)), path, **kwargs).read_bytes()
    return content, content.find(b"\x10\0\x10\0PN")


@pytest.mark.parametrize("kind", [b"  ", b"\0\0", b"??", b"zz"])
@pytest.mark.parametrize("is_wide", [False, True])
def test_representations_that_do_not_exist(tmp_path, kind, is_wide):
    path = tmp_path / "x"
    content, at = written(path)
    form = struct.pack("<HH2sH", 9, 0x10, kind, 4)
    if is_wide:
        form = struct.pack("<HHI", 9, 0x10, 4)
    path.write_bytes(content[:at] + form + b"TEST" + content[at:])
    check(path)


def test_a_stray_end_of_an_item(tmp_path):
    path = tmp_path / "x"
    content, at = written(path)
    stray = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    path.write_bytes(content[:at] + stray + content[at:])
    check(path)


def test_another_byte_order_than_the_file_says(tmp_path):
    path = tmp_path / "x"
    content, _ = written(path)
    path.write_bytes(content.replace(LITTLE, BIG, 1))
    check(path)
    content, _ = written(path, syntax=ExplicitVRBigEndian)
    path.write_bytes(content.replace(BIG, LITTLE, 1))
    check(path)


def test_a_file_that_is_not_deflated_and_says_so(tmp_path):
    path = tmp_path / "x"
    content, _ = written(path)
    at = content.index(LITTLE)
    content = content[: at - 2] + b"\x16\0" + LITTLE[:-1] + b".99" + content[at + 20 :]
    size = int.from_bytes(content[140:144], "little") + 2
    path.write_bytes(content[:140] + size.to_bytes(4, "little") + content[144:])
    check(path)


def check(path):
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.voxels[:, :, 0].T, pixels_of(3))
    np.testing.assert_allclose(scan.affine[:3, 3], (-1, -2, 3))


def test_a_header_that_leads_nowhere_is_refused(tmp_path):
    path = tmp_path / "x"
    content, at = written(path)
    endless = struct.pack("<HH2sHI", 9, 0x1010, b"SQ", 0, 0xFFFFFFFF)
    path.write_bytes(content[:at] + endless + content[at : at + 200])
    with pytest.raises(ReadError):
        read_scan(path)
