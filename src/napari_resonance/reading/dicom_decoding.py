"""Frames of one file: read as they are, or decoded by the packages that can."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import DependencyError
from napari_resonance.reading.decoder_pool import decoder_pool
from napari_resonance.reading.decoding_helper import decode_here
from napari_resonance.reading.dicom_encoding import Encoding
from napari_resonance.reading.dicom_header import (
    DamagedError,
    Header,
    parse_errors,
    reason_of,
)
from napari_resonance.reading.isolated import TooSlowError
from napari_resonance.reading.photometric import through_palette
from napari_resonance.reading.pixel_element import ENCAPSULATED
from napari_resonance.reading.rearranged import rearranged_frames

_JPEG = "1.2.840.10008.1.2.4."
_JPEG_EXTENDED = _JPEG + "51"
_RLE = "1.2.840.10008.1.2.5"
_JPEG_LS = (_JPEG + "80", _JPEG + "81")
# Decoders that may work in this process: pydicom's own is plain Python. All others
# broke down, or went on for a minute and more, over some damaged images.
_ROBUST = {_RLE: "pydicom"}
# Which package of the plain installation decodes what.
_DECODED_BY = {
    _RLE: "pylibjpeg-rle",
    **{_JPEG + n: "python-gdcm" for n in ("50", "51", "57", "70")},
    **{_JPEG + n: "pyjpegls" for n in ("80", "81")},
    **{
        _JPEG + n: "pylibjpeg-openjpeg"
        for n in ("90", "91", "92", "93", "201", "202", "203")
    },
}


def is_framed(encoding: Encoding) -> bool:
    """Tell whether each frame is compressed by itself, for `decode_frame`."""
    is_stored = encoding.native or encoding.start is None
    return not (is_stored or encoding.syntax == ENCAPSULATED or _is_wide_jpeg(encoding))


def _is_wide_jpeg(encoding: Encoding) -> bool:
    return encoding.syntax == _JPEG_EXTENDED and encoding.allocated > 8


def images_of(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Yield frames ``(row, column[, 3])`` of a file that is not framed.

    Raises
    ------
    DamagedError
        If a frame cannot be decoded; damaged headers raise what `parse_errors` lists.
    DependencyError
        If the decoder of its compression is not installed.

    """
    if encoding.is_direct:
        return _stored(path, encoding, indices)
    if _is_wide_jpeg(encoding):
        return _whole_file_by_gdcm(path, encoding, indices)
    return _rearranged(path, encoding, indices)


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


def _rearranged(
    path: Path, encoding: Encoding, indices: list[int]
) -> Iterator[NDArray[Any]]:
    """Read what needs rearranging only: bits, colour planes, deflated files."""
    for image in rearranged_frames(path, encoding, indices):
        yield _as_rgb(image, path, encoding)


def decode_frame(
    stream: bytes,
    path: Path,
    encoding: Encoding,
    out: NDArray[Any] | None = None,
    *,
    is_lone: bool = False,
) -> NDArray[Any]:
    """Return an image ``(row, column[, 3])`` decoded by the first package that can.

    Parameters
    ----------
    stream
        The compressed bytes of one frame.
    path
        Its file.
    encoding
        What the file's header says.
    out
        Filled and returned if it is contiguous, of the shape and type of the image.
    is_lone
        It is one of few, for which no process is started if a robust decoder can have
        it.

    Raises
    ------
    DamagedError
        If no package can decode it.
    DependencyError
        If no package that could is installed.

    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    decoder = get_decoder(UID(encoding.syntax))
    if not decoder.is_available:
        raise _no_decoder(encoding.syntax, path)
    request = {"syntax": encoding.syntax, "options": _options(encoding)}
    plugins = _plugins(encoding, decoder.available_plugins)
    robust = _ROBUST.get(encoding.syntax)
    here = is_lone and robust in plugins and not decoder_pool.is_running
    failures = []
    for plugin in [robust] if here else plugins:
        asked = request | {"plugin": plugin}
        try:
            if here:
                image = decode_here(asked, stream)
            else:
                image = decoder_pool.decode(asked, stream, out)
        except TooSlowError:
            # Another decoder is no faster over what was made to take for ever.
            raise
        except parse_errors() as error:
            failures.append(f"{plugin}: {reason_of(error)}")
        else:
            return _as_rgb(image, path, encoding)
    raise DamagedError(f"no decoder can read them; {', '.join(failures)}")


def _plugins(encoding: Encoding, available: tuple[str, ...]) -> list[str]:
    """Choose decoders by how they bear damaged data.

    On such, CharLS as pyjpegls has it goes on for half a minute over a picture of a
    stamp's size. Pillow changes some 16-bit images. pydicom's own, for RLE, is slow.
    """
    if encoding.syntax in _JPEG_LS:
        # gdcm cannot do these (pydicom.pixels.decoders.gdcm).
        can = "gdcm" in available and encoding.stored not in (6, 7)
        return ["gdcm" if can else "pyjpegls"]
    return [name for name in ("pylibjpeg", "gdcm", "pydicom") if name in available]


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
    images = decoder_pool.decode(request).reshape(size)
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

    if encoding.photometric != "PALETTE COLOR":
        return image
    palette = dcmread(path, stop_before_pixels=True, force=True)
    return through_palette(image, palette)


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
