"""Eager or lazy, in this process, in one helper or in several: the same voxels."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from support.dicom_files import LARGE, plane, save

from napari_resonance import read_scans
from napari_resonance.errors import ReadError
from napari_resonance.reading import dicom_decoding, dicom_pixels
from napari_resonance.reading.decoder_pool import DecoderPool
from napari_resonance.reading.decoding_helper import decode_here

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
SYNTAXES = [
    pydicom.uid.ImplicitVRLittleEndian,
    pydicom.uid.ExplicitVRLittleEndian,
    pydicom.uid.ExplicitVRBigEndian,
    pydicom.uid.DeflatedExplicitVRLittleEndian,
    pydicom.uid.RLELossless,
    pydicom.uid.JPEGLSLossless,
    pydicom.uid.JPEG2000Lossless,
]


class Here(DecoderPool):
    """Decodes in this process what helpers decode otherwise."""

    def decode(self, request, data=b"", out=None):
        return decode_here(request, data)


@pytest.fixture(scope="module")
def ways():
    made = {"here": Here(1), "one": DecoderPool(1), "three": DecoderPool(3)}
    yield made
    for pool in made.values():
        pool.close()


def outcome(path, pool, lazy_over, monkeypatch):
    """Return the voxels of each scan, or that it cannot be read."""
    for module in (dicom_decoding, dicom_pixels):
        monkeypatch.setattr(module, "decoder_pool", pool)
    monkeypatch.setattr(dicom_pixels, "_BYTES_OF_LONE_FRAMES", 0)
    monkeypatch.setattr(dicom_pixels, "_BYTES_PER_DECODER", 1)
    try:
        return [np.asarray(s.voxels) for s in read_scans(path, lazy_over=lazy_over)]
    except ReadError:
        return None


def assert_same(path, ways, monkeypatch):
    expected = outcome(path, ways["one"], None, monkeypatch)
    for name, pool in ways.items():
        for lazy_over in (None, 0):
            found = outcome(path, pool, lazy_over, monkeypatch)
            assert (found is None) == (expected is None), (name, lazy_over)
            for a, b in zip(found or (), expected or (), strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b, err_msg=f"{name} {lazy_over}")


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_series_of_every_transfer_syntax(tmp_path, syntax, ways, monkeypatch):
    pytest.importorskip("dask.array", reason="dask comes with napari")
    for n in range(9):
        save(plane(n, (0, 0, 2 * n), LARGE), tmp_path / str(n), syntax)
    assert_same(tmp_path, ways, monkeypatch)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "path", sorted(TEST_FILES.glob("*.dcm")), ids=lambda path: path.stem
)
def test_the_images_of_pydicom(path, ways, monkeypatch):
    pytest.importorskip("dask.array", reason="dask comes with napari")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same(path, ways, monkeypatch)


def test_one_image_in_every_transfer_syntax(shared_data, ways, monkeypatch):
    folder = shared_data / "dicom_reference" / "transfer_syntaxes" / "dicom"
    images = []
    for path in sorted(folder.iterdir()):
        assert_same(path, ways, monkeypatch)
        images += outcome(path, ways["three"], None, monkeypatch)
    assert len(images) == 9
    for image in images:
        np.testing.assert_array_equal(image, images[0])


def test_a_real_compressed_series(shared_data, ways, monkeypatch):
    assert_same(shared_data / "ct_dicom", ways, monkeypatch)
