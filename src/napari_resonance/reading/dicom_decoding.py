"""Frames of one file: read as they are, or decoded by the packages that can."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import DependencyError
from napari_resonance.reading.codestream import frame_of
from napari_resonance.reading.dicom_encoding import Encoding
from napari_resonance.reading.dicom_header import (
    DEFLATED,
    DamagedError,
    Header,
    inflate_checked,
    parse_errors,
    reason_of,
)
from napari_resonance.reading.isolated import isolated_decoder

_JPEG = "1.2.840.10008.1.2.4."
_JPEG_EXTENDED = _JPEG + "51"
_RLE = "1.2.840.10008.1.2.5"
_JPEG_LS = (_JPEG + "80", _JPEG + "81")
# Which package of the plain installation decodes what.
_DECODED_BY = {
    **{_JPEG + n: "python-gdcm" for n in ("50", "51", "57", "70")},
    **{_JPEG + n: "pyjpegls" for n in ("80", "81")},
    **{
        _JPEG + n: "pylibjpeg-openjpeg"
        for n in ("90", "91", "92", "93", "201", "202", "203")
    },
}


def images_of(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Yield frames ``(row, column[, 3])`` of a file, by frame number from 0.

    Raises
    ------
    DamagedError
        If a frame cannot be decoded; damaged headers raise what `parse_errors` lists.
    DependencyError
        If the decoder of its compression is not installed.

    """
    frames = _stored if encoding.is_direct else _decoded
    return frames(path, encoding, indices)


def _stored(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Read frames that are stored as they are."""
    size = (encoding.rows, encoding.columns) + ((3,) if encoding.color else ())
    with path.open("rb", buffering=0) as file:
        for index in indices:
            image = np.empty(size, encoding.dtype)
            read_frame(file, encoding, index, image)
            yield image


def read_frame(
    file: IO[bytes], encoding: Encoding, index: int, image: NDArray[Any]
) -> None:
    """Fill an array with a frame that is stored as it is, in native byte order."""
    file.seek((encoding.start or 0) + index * encoding.frame_bytes)
    target = image.view(np.uint8).reshape(-1).data
    done = 0
    while done < len(target):
        got = file.readinto(target[done:])  # type: ignore[attr-defined]
        if not got:
            raise DamagedError("the file ends within its pixels")
        done += got
    if not encoding.little:
        image.byteswap(inplace=True)


def mend_bits(plane: NDArray[Any], encoding: Encoding) -> None:
    """Clear an overlay from the unused high bits, and extend a sign into them."""
    bits = encoding.stored
    if plane.dtype.kind not in "iu" or not 0 < bits < encoding.allocated:
        return
    if encoding.hides_overlay:
        plane &= plane.dtype.type((1 << bits) - 1)
    half = 1 << (bits - 1)
    if encoding.signed and plane.min() >= 0 and half <= plane.max() < 2 * half:
        plane[plane >= half] |= plane.dtype.type(-2 * half)


def _decoded(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Decode frames of a file through pydicom and the packages it knows."""
    if encoding.syntax == _JPEG_EXTENDED and encoding.allocated > 8:
        yield from _whole_file_by_gdcm(path, encoding, indices)
        return
    if encoding.native or encoding.start is None:
        yield from _uncompressed(path, encoding, indices)
        return
    fragments = _fragments(path, encoding)
    for index in indices:
        frame = frame_of(fragments, index, encoding)
        yield _as_rgb(_by_some_plugin(frame, path, encoding), path, encoding)


def _uncompressed(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Read what needs rearranging only: bits, colour planes, deflated files."""
    from pydicom import dcmread
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    if encoding.syntax == DEFLATED:
        inflate_checked(path)
    dataset = dcmread(path, force=True)
    # What a damaged header leaves out is filled in as it was understood.
    dataset.SamplesPerPixel = encoding.samples
    dataset.PhotometricInterpretation = encoding.photometric or "MONOCHROME2"
    decoder = get_decoder(UID(encoding.syntax))
    for image, _ in decoder.iter_array(dataset, indices=indices):
        yield _as_rgb(image, path, encoding)


def _fragments(path: Path, encoding: Encoding) -> bytes:
    """Return the encapsulated pixel data as they are.

    Its items are taken by their lengths. Looking for the mark of their end instead, as
    a parser of the whole file does, stops too early where compressed bytes resemble it.
    """
    with path.open("rb") as file:
        file.seek(encoding.start or 0)
        return file.read()


def _by_some_plugin(frame: bytes, path: Path, encoding: Encoding) -> NDArray[Any]:
    """Decode one frame with the first package that can."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    decoder = get_decoder(UID(encoding.syntax))
    if not decoder.is_available:
        raise _no_decoder(encoding.syntax, path)
    source, options = encapsulate([frame]), _options(encoding)
    failures = []
    for plugin in _plugins(encoding, decoder.available_plugins):
        try:
            if plugin == "gdcm":
                request = {"syntax": encoding.syntax, "options": options}
                return isolated_decoder.decode(request, source)
            image, _ = decoder.as_array(
                source, index=0, decoding_plugin=plugin, **options
            )
        except parse_errors() as error:
            failures.append(f"{plugin}: {reason_of(error)}")
        else:
            return image
    raise DamagedError(f"no decoder can read them; {', '.join(failures)}")


def _plugins(encoding: Encoding, available: tuple[str, ...]) -> list[str]:
    """Choose decoders by how they bear damaged data.

    On such, pylibjpeg-rle ends the whole process, and CharLS as pyjpegls has it goes on
    for half a minute over a picture of a stamp's size; gdcm ends its process, but that
    is one of its own. Pillow changes some 16-bit images.
    """
    if encoding.syntax == _RLE:
        return ["pydicom"]
    if encoding.syntax in _JPEG_LS:
        # gdcm cannot do these (pydicom.pixels.decoders.gdcm).
        can = "gdcm" in available and encoding.stored not in (6, 7)
        return ["gdcm" if can else "pyjpegls"]
    return [name for name in ("pylibjpeg", "gdcm") if name in available]


def _options(encoding: Encoding) -> dict[str, Any]:
    """Describe one frame to pydicom's decoders."""
    return {
        "bits_allocated": encoding.allocated,
        "bits_stored": encoding.stored,
        "columns": encoding.columns,
        "number_of_frames": 1,
        "photometric_interpretation": encoding.photometric or "MONOCHROME2",
        "pixel_keyword": encoding.element,
        "pixel_representation": int(encoding.signed),
        "planar_configuration": int(encoding.planar),
        "rows": encoding.rows,
        "samples_per_pixel": encoding.samples,
    }


def _whole_file_by_gdcm(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Decode 12-bit JPEG, which pydicom does not let gdcm do."""
    if find_spec("gdcm") is None:
        raise _no_decoder(encoding.syntax, path)
    request = {"path": str(path), "dtype": encoding.dtype.str}
    size = (encoding.frames, encoding.rows, encoding.columns)
    images = isolated_decoder.decode(request).reshape(size)
    for index in indices:
        yield images[index]


def _no_decoder(syntax: str, path: Path) -> DependencyError:
    from pydicom.uid import UID

    package = _DECODED_BY.get(syntax, "python-gdcm")
    return DependencyError(
        f"is compressed as {UID(syntax).name}, and no decoder for it is installed",
        source=path,
        remedy=f"Install it with: python -m pip install {package}",
    )


def _as_rgb(image: NDArray[Any], path: Path, encoding: Encoding) -> NDArray[Any]:
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut

    if encoding.photometric != "PALETTE COLOR":
        return image
    palette = dcmread(path, stop_before_pixels=True, force=True)
    colors: NDArray[Any] = apply_color_lut(image, palette)[..., :3]
    if colors.dtype.itemsize > 1:
        colors = (colors >> 8).astype(np.uint8)
    return colors


def through_lut(
    planes: NDArray[Any], header: Header
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Map stored values through a modality look-up table, where there is one.

    It takes the place of slope and intercept (PS3.3 C.11.1), so the voxels then are
    physical values.
    """
    from pydicom.pixels.processing import apply_modality_lut

    if not header.items("ModalityLUTSequence"):
        return planes, ()
    if header.number("RescaleSlope") is not None:
        return planes, ()
    try:
        mapped: NDArray[Any] = apply_modality_lut(planes, header.datasets[-1])
    except parse_errors():
        return planes, ("its modality look-up table is damaged and was not applied",)
    return mapped, ("its values were mapped through its modality look-up table",)
