"""A decoder that breaks down or hangs takes one image with it, and nothing else."""

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from napari_resonance import read_scan
from napari_resonance.errors import ReadError
from napari_resonance.reading.dicom_header import DamagedError
from napari_resonance.reading.isolated import IsolatedDecoder

JPEG = Path(pydicom.__file__).parent / "data" / "test_files" / "SC_rgb_jpeg_gdcm.dcm"


def test_an_image_that_ends_gdcms_process_is_an_error_here(tmp_path):
    content = bytearray(JPEG.read_bytes())
    assert (
        content[1373:1375] == b"\xff\xc4"
    )  # the mark of a table that gdcm then misses
    content[1373:1375] = bytes(2)
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ReadError, match="its decoder broke down over them"):
        read_scan(tmp_path / "x")
    assert read_scan(JPEG).shape == (100, 100, 1, 3)


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(3)",
        "import time; time.sleep(60)",
        "print('{')",
        "print('{\"n_bytes\": 10}')",
    ],
    ids=["dies", "hangs", "talks nonsense", "is cut off"],
)
def test_a_helper_that_fails_is_replaced(program):
    decoder = IsolatedDecoder(seconds=1.0, command=(sys.executable, "-c", program))
    for _ in range(2):
        with pytest.raises(DamagedError, match=r"broke down|did not end"):
            decoder.decode({"syntax": "", "plugin": "gdcm"}, b"")
    decoder.close()


def test_the_helper_says_what_it_cannot_do_and_goes_on():
    decoder = IsolatedDecoder()
    request = {"syntax": "1.2.840.10008.1.2.4.50", "plugin": "gdcm", "options": {}}
    with pytest.raises(DamagedError, match="decoder cannot read them"):
        decoder.decode(request, b"nothing")
    request = {"path": str(JPEG), "dtype": "|u1"}
    assert decoder.decode(request).shape == (100 * 100 * 3,)
    assert decoder.decode(request).dtype == np.uint8
    decoder.close()
