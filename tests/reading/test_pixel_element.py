"""The pixels tell how they are compressed, where the file meta information is wrong."""

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from support.dicom_files import LARGE, pixels_of, plane, save

from napari_resonance import read_scan
from napari_resonance.errors import ReadError

NATIVE = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4."


def claim(path, syntax):
    """Write another transfer syntax into a file."""
    content = path.read_bytes()
    at = content.index(b"\x02\0\x10\0UI")
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    changed = content[: at + 6] + len(uid).to_bytes(2, "little") + uid
    changed += content[at + 8 + length :]
    group = changed.index(b"\x02\0\0\0UL\x04\0") + 8
    size = int.from_bytes(content[group : group + 4], "little") + len(uid) - length
    path.write_bytes(
        changed[:group] + size.to_bytes(4, "little") + changed[group + 4 :]
    )
    return path


@pytest.mark.parametrize(
    "true", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless]
)
@pytest.mark.parametrize(
    "claimed", [NATIVE, RLELossless, JPEG + "50", JPEG + "70", JPEG + "80", JPEG + "90"]
)
def test_a_wrong_transfer_syntax_does_no_harm(tmp_path, true, claimed):
    path = claim(save(plane(3, (0, 0, 0), LARGE), tmp_path / "x", true), claimed)
    np.testing.assert_array_equal(
        read_scan(path).voxels[:, :, 0].T, pixels_of(3, LARGE)
    )


@pytest.mark.parametrize(
    ("syntax", "sentence"),
    [
        (JPEG + "110", "JPEG XL, for which pydicom has no decoder"),
        (JPEG + "94", "leaves its pixels on a server"),
        (JPEG + "65", "for which there is no decoder"),
        ("1.3.46.670589.33.1.4.1", "for which there is no decoder"),
        (JPEG + "102", "is a video, not a scan"),
    ],
)
def test_what_cannot_be_decoded_is_named(tmp_path, syntax, sentence):
    made = plane(0, (0, 0, 0))
    made.PixelData = encapsulate([bytes(100)])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    with pytest.raises(ReadError, match=sentence):
        read_scan(claim(save(made, tmp_path / "x"), syntax))
