"""Uncompressed pixels that need more than copying come out right."""

import numpy as np
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from support.dicom_files import pixels_of, plane, save, set_pixels

from napari_resonance import read_scan
from napari_resonance.errors import ReadError

RNG = np.random.default_rng(5)
COLORS = RNG.integers(0, 256, (5, 8, 3), np.uint8)


def colored(pixels, photometric="RGB", planar=0, raw=None):
    made = plane(0, None, Modality="OT")
    rows = pixels.shape[-3:-1]
    made.Rows, made.Columns = rows
    made.SamplesPerPixel, made.PlanarConfiguration = 3, planar
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, 0
    made.PhotometricInterpretation = photometric
    if pixels.ndim == 4:
        made.NumberOfFrames = len(pixels)
    if raw is None:
        raw = (np.moveaxis(pixels, -1, -3) if planar else pixels).tobytes()
    made.add_new("PixelData", "OB", raw + b"\0" * (len(raw) % 2))
    return made


def rgb_in(path):
    """Return ``(picture, row, column, 3)`` of a colour file."""
    scan = read_scan(path)
    assert scan.color
    return scan.voxels.transpose(2, 1, 0, 3)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL", "YBR_RCT", "YBR_ICT"])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_colours_of_every_kind_and_order(tmp_path, kind, planar, syntax):
    film = np.stack([COLORS, 255 - COLORS])
    stored = convert_color_space(film, "RGB", kind) if kind == "YBR_FULL" else film
    path = save(colored(stored, kind, planar), tmp_path / "x", syntax)
    expected = convert_color_space(stored, kind, "RGB") if kind == "YBR_FULL" else film
    np.testing.assert_array_equal(rgb_in(path), expected)


def test_colours_of_sixteen_bits(tmp_path):
    wide = COLORS.astype(np.uint16) * 257
    np.testing.assert_array_equal(
        rgb_in(save(colored(wide, planar=1), tmp_path / "x"))[0], wide
    )
    grey = np.stack([wide[..., 0], *2 * [np.full_like(wide[..., 0], 32768)]], -1)
    path = save(colored(grey, "YBR_FULL"), tmp_path / "y")
    np.testing.assert_array_equal(rgb_in(path)[0], np.stack([wide[..., 0]] * 3, -1))


@pytest.mark.parametrize("planar", [0, 1])
def test_two_pixels_that_share_a_colour(tmp_path, planar):
    shared = convert_color_space(COLORS, "RGB", "YBR_FULL")
    shared[:, 1::2, 1:] = shared[:, 0::2, 1:]
    pairs = np.stack(
        [
            shared[:, 0::2, 0],
            shared[:, 1::2, 0],
            shared[:, 0::2, 1],
            shared[:, 0::2, 2],
        ],
        axis=-1,
    )
    raw = pairs.tobytes()
    made = colored(np.stack([shared] * 2), "YBR_FULL_422", planar, raw * 2)
    expected = convert_color_space(shared, "YBR_FULL", "RGB")
    for picture in rgb_in(save(made, tmp_path / "x")):
        np.testing.assert_array_equal(picture, expected)


def test_colours_that_only_claim_to_be_shared(tmp_path):
    stored = convert_color_space(COLORS, "RGB", "YBR_FULL")
    path = save(colored(stored, "YBR_FULL_422"), tmp_path / "x")
    expected = convert_color_space(stored, "YBR_FULL", "RGB")
    np.testing.assert_array_equal(rgb_in(path)[0], expected)


def test_colours_without_a_number_of_samples_and_without_units(tmp_path):
    made = colored(COLORS)
    del made.SamplesPerPixel
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0].transpose(1, 0, 2), COLORS)
    assert (scan.slope, scan.intercept) == (1, 0)


def test_retired_colours_are_refused_by_name(tmp_path):
    with pytest.raises(ReadError, match="kept as HSV, which is retired"):
        read_scan(save(colored(COLORS, "HSV"), tmp_path / "x"))


def test_single_bits_that_begin_within_a_byte(tmp_path):
    film = RNG.integers(0, 2, (3, 5, 7), np.uint8)
    made = plane(0, None, Modality="OT")
    set_pixels(made, film)
    made.BitsAllocated, made.BitsStored, made.HighBit = 1, 1, 0
    raw = np.packbits(film.reshape(-1), bitorder="little").tobytes()
    made.add_new("PixelData", "OB", raw)
    voxels = read_scan(save(made, tmp_path / "x")).voxels
    np.testing.assert_array_equal(voxels[:, :, 0].T, film)


def test_twelve_bits_side_by_side(tmp_path):
    values = RNG.integers(0, 4096, (5, 8), np.uint16)
    made = plane(0, None)
    set_pixels(made, values)
    made.BitsAllocated, made.BitsStored, made.HighBit = 12, 12, 11
    one, two = values.reshape(-1, 2).T
    packed = np.stack([one & 255, one >> 8 | (two & 15) << 4, two >> 4], -1)
    made.add_new("PixelData", "OW", packed.astype(np.uint8).tobytes())
    voxels = read_scan(save(made, tmp_path / "x")).voxels
    assert voxels.dtype == np.uint16
    np.testing.assert_array_equal(voxels[:, :, 0].T, values)


@pytest.mark.parametrize("signed", [False, True])
def test_values_in_the_upper_bits_are_moved_down(tmp_path, signed):
    values = np.array([[-2048, -1, 0], [1, 5, 2047]], np.int16)
    if not signed:
        values = (values & 0x0FFF).astype(np.uint16)
    made = plane(0, (0, 0, 0))
    set_pixels(made, values << 4)
    made.BitsStored, made.HighBit = 12, 15
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0].T, values)


def test_values_are_not_moved_where_the_header_only_claims_so(tmp_path):
    made = plane(0, (0, 0, 0))
    made.BitsStored, made.HighBit = 12, 15
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0].T, pixels_of(0))


def test_high_bits_that_all_pixels_share_are_cleared(tmp_path):
    values = RNG.integers(0, 1024, (5, 7), np.uint16)
    made = plane(0, (0, 0, 0))
    set_pixels(made, values | np.uint16(0xFC00))
    made.BitsStored, made.HighBit = 10, 9
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0].T, values)


def test_an_overlay_of_any_group_is_cleared(tmp_path):
    values = np.arange(6, dtype=np.uint16).reshape(2, 3)
    made = plane(0, (0, 0, 0))
    set_pixels(made, values | np.uint16(0x1000))
    made.PixelData = (values | np.array([0x1000, 0, 0], np.uint16)).tobytes()
    made.BitsStored, made.HighBit = 12, 11
    made.add_new(0x60040100, "US", 16)
    made.add_new(0x60040102, "US", 12)
    scan = read_scan(save(made, tmp_path / "x"))
    np.testing.assert_array_equal(scan.voxels[:, :, 0].T, values)


@pytest.mark.parametrize("words", [False, True])
def test_bytes_of_a_big_endian_file_in_words_or_not(tmp_path, words):
    film = RNG.integers(0, 256, (2, 5, 7), np.uint8)
    made = plane(0, None, Modality="XA")
    set_pixels(made, film)
    raw = film.tobytes()
    if words:
        raw = np.frombuffer(raw, np.uint16).byteswap().tobytes()
    made.add_new("PixelData", "OW" if words else "OB", raw)
    path = save_as_is(made, tmp_path / "x")
    np.testing.assert_array_equal(read_scan(path).voxels[:, :, 0].T, film)


def save_as_is(made, path):
    """Write a big endian file without touching the bytes of its pixels."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    made.save_as(path, implicit_vr=False, little_endian=False)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_point_pixels_of_deflated_files(tmp_path, dtype):
    pixels = (pixels_of(3) / 7).astype(dtype)
    made = plane(0, (0, 0, 0), PixelData=None, PixelRepresentation=None)
    made.BitsAllocated = pixels.dtype.itemsize * 8
    keyword = "FloatPixelData" if dtype == np.float32 else "DoubleFloatPixelData"
    setattr(made, keyword, pixels.tobytes())
    scan = read_scan(save(made, tmp_path / "x", DeflatedExplicitVRLittleEndian))
    assert scan.voxels.dtype == dtype
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels.T)


def renamed(path, old, new):
    """Give a file another transfer syntax of the same length."""
    content = path.read_bytes()
    width = max(len(old), len(new)) + max(len(old), len(new)) % 2
    assert len(old) + len(old) % 2 == width
    at = content.index(old.encode())
    swapped = new.encode().ljust(width, b"\0")
    path.write_bytes(content[:at] + swapped + content[at + width :])
    return path


def test_big_endian_pixels_under_a_little_endian_header_of_ge(tmp_path):
    made = plane(2, (0, 0, 0))
    made.PixelData = pixels_of(2).byteswap().tobytes()
    path = save(made, tmp_path / "x", ImplicitVRLittleEndian)
    path = renamed(path, "1.2.840.10008.1.2", "1.2.840.113619.5.2")
    np.testing.assert_array_equal(read_scan(path).voxels[:, :, 0].T, pixels_of(2))


def test_frames_in_items_that_are_not_compressed(tmp_path):
    film = np.stack([pixels_of(n) for n in range(3)])
    made = plane(0, None, Modality="XA")
    set_pixels(made, film)
    made.PixelData = encapsulate([image.tobytes() for image in film])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    path = save(made, tmp_path / "x")
    np.testing.assert_array_equal(read_scan(path).voxels[:, :, 0].T, film)


@pytest.mark.parametrize("start", ["", "Segmented"])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian]
)
def test_palettes_of_either_byte_order(tmp_path, syntax, start):
    numbers = RNG.integers(0, 256, (5, 8), np.uint8)
    made = plane(0, None, Modality="US")
    set_pixels(made, numbers)
    made.PhotometricInterpretation = "PALETTE COLOR"
    order = "<" if syntax.is_little_endian else ">"
    colors = [np.arange(256) * n % 256 for n in (1, 3, 7)]
    for name, entries in zip(("Red", "Green", "Blue"), colors, strict=True):
        wide = entries * 256 + 17
        # One segment of entries as they are (PS3.3 C.7.9.2).
        words = np.array([*([0, 256] if start else []), *wide], f"{order}u2")
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{start}{name}PaletteColorLookupTableData", words.tobytes())
    expected = np.stack([entries[numbers] for entries in colors], -1)
    path = save(made, tmp_path / "x", syntax)
    np.testing.assert_array_equal(rgb_in(path)[0], expected)
