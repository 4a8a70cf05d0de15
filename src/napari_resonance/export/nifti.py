"""Saliency maps and scans as NIfTI-1, at their true place.

NIfTI's world is RAS+ mm, as is this package's. The affine is stored as sform and, where
it has no shear, as qform too (a qform, quaternion and spacings, cannot hold a shear).
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import ExportError
from napari_resonance.export.atomic import replacing
from napari_resonance.geometry import FloatArray, is_sheared

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

    from napari_resonance.classifier.prediction import Saliency
    from napari_resonance.scan import Scan

# Values of sform_code and qform_code (nifti1.h).
UNKNOWN, SCANNER, ALIGNED = 0, 1, 2

_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_LONGEST_AXIS = 32767  # dim[] is int16 in NIfTI-1


def write_saliency(saliency: Saliency, path: str | PathLike[str]) -> None:
    """Write a saliency map as float32 NIfTI on its own grid, in its own units.

    Written is the evidence that the map's sign chooses: of "for" and "against" what is
    above 0, of "both" all, with its sign.

    sform and qform carry the code "aligned to another file", for the map lies where its
    scan lies; opened over the scan, any viewer shows it in its place. Where the scan
    has no orientation, neither has the map.

    Parameters
    ----------
    saliency
        The map; its evidence is neither rescaled nor resampled.
    path
        Ends in ``.nii`` or ``.nii.gz``.

    Raises
    ------
    ExportError
        If the name has another ending, or the file cannot be written.

    """
    image = _image(np.asarray(saliency.shown, np.float32), saliency.affine)
    _place(image, saliency.affine, ALIGNED if saliency.oriented else UNKNOWN)
    words = [saliency.method, saliency.layer, saliency.claim]
    image.header["descrip"] = _ascii(" ".join(filter(None, words)), 79)
    image.header["intent_name"] = _ascii(saliency.method, 15)
    _save(image, path)


def write_scan(scan: Scan, path: str | PathLike[str]) -> None:
    """Write a scan as NIfTI: voxels as stored, with ``scl_slope`` and ``scl_inter``.

    Types that NIfTI lacks are widened (bool to uint8, float16 to float32). A scan
    without orientation gets no sform or qform, only its spacing. The repetition time is
    the step of a time series. A sheared scan has an sform alone: nibabel, FSL and
    MRIcroGL honour it; readers built on ITK, which has no shear, refuse the file
    instead of misplacing it (`geometry.unshear` first).

    Parameters
    ----------
    scan
        Any scan; a colour scan must have 8 bits a channel.
    path
        Ends in ``.nii`` or ``.nii.gz``.

    Raises
    ------
    ExportError
        If the name has another ending, NIfTI cannot hold the voxels, or the file
        cannot be written.

    """
    voxels = _storable(np.asarray(scan.voxels), scan.color)
    image = _image(voxels, scan.affine)
    _place(image, scan.affine, SCANNER if scan.oriented else UNKNOWN)
    if not scan.color:
        image.header.set_slope_inter(scan.slope, scan.intercept)
    step_ms = scan.meta.get("repetition_time_ms")
    if scan.n_times > 1 and isinstance(step_ms, int | float):
        image.header["pixdim"][4] = step_ms / 1000
    _save(image, path)


def _storable(voxels: NDArray[Any], color: bool) -> NDArray[Any]:
    if color:
        if voxels.dtype != np.uint8:
            raise ExportError(
                f"NIfTI holds colour with 8 bits a channel, not {voxels.dtype}"
            )
        return np.ascontiguousarray(voxels).view(_RGB)[..., 0]
    widened = {"bool": np.uint8, "float16": np.float32}.get(voxels.dtype.name)
    return voxels.astype(widened or voxels.dtype.newbyteorder("="), copy=False)


def _image(voxels: NDArray[Any], affine: FloatArray) -> Nifti1Image:
    import nibabel

    image: Nifti1Image
    if max(voxels.shape) > _LONGEST_AXIS:
        image = nibabel.Nifti2Image(voxels, affine, dtype=voxels.dtype)
    else:
        image = nibabel.Nifti1Image(voxels, affine, dtype=voxels.dtype)
    image.header.set_xyzt_units("mm", "sec")
    return image


def _place(image: Nifti1Image, affine: FloatArray, code: int) -> None:
    image.set_sform(affine, code=code)
    image.set_qform(affine, code=UNKNOWN if is_sheared(affine) else code)


def _save(image: Nifti1Image, path: str | PathLike[str]) -> None:
    if not str(path).lower().endswith((".nii", ".nii.gz")):
        raise ExportError(
            "a NIfTI file name ends in .nii or .nii.gz",
            source=path,
            remedy="Add one of the two endings",
        )
    with replacing(path) as temporary:
        image.to_filename(temporary)


def _ascii(text: str, length: int) -> bytes:
    return text.encode("ascii", "replace")[:length]
