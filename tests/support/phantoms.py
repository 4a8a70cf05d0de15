"""Scans made for tests: no two axes alike, one bright voxel at a known millimetre.

Every route of the package (reading, resampling, layers, saliency, export) has to put
that voxel where it is here. All the other voxels differ along each axis, so that a
flip or a swap of axes cannot pass unnoticed either.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.geometry import to_world
from napari_resonance.scan import Scan

SHAPE = (23, 31, 17)
SPACING = (0.9, 1.3, 2.5)
ORIGIN = (-17.0, 11.0, 23.0)
BRIGHT = (6, 22, 4)
BRIGHT_VALUE = 1000
N_TIMES = 3

# Directions towards which i, j and k grow, before any rotation.
_AXES = {
    "straight": "RAS",
    "flipped": "LPI",
    "sagittal": "PSL",
    "oblique": "LPS",
    "sheared": "LPS",
}
NAMES = tuple(_AXES)


def phantom(name: str = "oblique", **fields: Any) -> tuple[Scan, NDArray[np.float64]]:
    """Return a 3D int16 scan and the RAS+ mm of its bright voxel.

    `name` is one of `NAMES`; `fields` go to `Scan` (``modality="CT"``, ``slope=2.0``).
    """
    affine = phantom_affine(name)
    voxels = _pattern().astype(np.int16, order="F")
    scan = Scan(voxels=voxels, affine=affine, **{"modality": "MR"} | fields)
    return scan, to_world(affine, BRIGHT)


def oblique_phantom(*, sheared: bool = False) -> tuple[Scan, NDArray[np.float64]]:
    """Return the oblique phantom, or the one with a gantry tilt on top."""
    return phantom("sheared" if sheared else "oblique")


def time_phantom(name: str = "oblique") -> tuple[Scan, NDArray[np.float64]]:
    """Return a 4D int16 scan whose volumes are brighter with time."""
    scan, mm = phantom(name)
    volumes = np.stack([scan.stored() * (t + 1) for t in range(N_TIMES)], axis=-1)
    voxels = np.asfortranarray(volumes)
    return Scan(voxels=voxels, affine=scan.affine, modality="MR"), mm


def color_phantom(name: str = "oblique") -> tuple[Scan, NDArray[np.float64]]:
    """Return a colour uint8 scan: three patterns, and one white voxel."""
    pattern = _pattern()
    red = np.where(pattern == BRIGHT_VALUE, 255, pattern).T
    planes = np.stack([red, np.where(red == 255, 255, red // 2), red], axis=-1)
    planes[..., 2] = np.where(red == 255, 255, 96 - np.minimum(red, 96))
    voxels = planes.astype(np.uint8, order="C").transpose(2, 1, 0, 3)
    affine = phantom_affine(name)
    scan = Scan(voxels=voxels, affine=affine, modality="US", color=True)
    return scan, to_world(affine, BRIGHT)


def phantom_affine(name: str) -> NDArray[np.float64]:
    """Return the affine of a phantom, voxel index to RAS+ mm."""
    affine = np.eye(4)
    affine[:3, :3] = axes_towards(_AXES[name])
    if name in ("oblique", "sheared"):
        affine[:3, :3] = rotation(20, -15, 30) @ affine[:3, :3]
    if name == "sheared":
        affine[:3, 2] += 0.3 * affine[:3, 1]
    affine[:3, :3] *= SPACING
    affine[:3, 3] = ORIGIN
    return affine


def axes_towards(code: str) -> NDArray[np.float64]:
    """Return 3×3 unit columns that point towards the three letters of `code`."""
    columns = np.zeros((3, 3))
    for voxel, letter in enumerate(code):
        world = next(n for n, pair in enumerate(("LR", "PA", "IS")) if letter in pair)
        columns[world, voxel] = 1 if letter in "RAS" else -1
    return columns


def rotation(x: float, y: float, z: float) -> NDArray[np.float64]:
    """Return the 3×3 rotation by degrees about x, then y, then z."""
    matrix = np.eye(3)
    for axis, degrees in enumerate((x, y, z)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        matrix = turn @ matrix
    return matrix


def brightest_mm(scan: Scan, time: int = 0) -> NDArray[np.float64]:
    """Return the RAS+ mm of a scan's brightest voxel, by its own affine."""
    values = scan.stored(time).astype(np.float64)
    if scan.color:
        values = values.sum(axis=-1)
    return to_world(scan.affine, np.unravel_index(int(values.argmax()), values.shape))


def write_nifti(scan: Scan, path: Path) -> Path:
    """Write a scan byte for byte, with an sform only; ``.gz`` names are compressed."""
    from nibabel.nifti1 import Nifti1Header

    header = Nifti1Header()
    voxels = np.asarray(scan.voxels)
    color = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    header.set_data_dtype(color if scan.color else voxels.dtype)
    header.set_data_shape(scan.grid_shape if scan.color else scan.shape)
    header.set_sform(scan.affine, code=1)
    header.set_xyzt_units("mm", "sec")
    header["pixdim"][1:4] = scan.spacing
    header["scl_slope"], header["scl_inter"] = scan.slope, scan.intercept
    header["magic"], header["vox_offset"] = b"n+1", 352
    planes = voxels.transpose(2, 1, 0, 3) if scan.color else voxels.T
    content = header.binaryblock + bytes(4) + planes.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_dicom_series(scan: Scan, folder: Path, **tags: Any) -> Path:
    """Write a scan as one classic uncompressed series, one file a plane.

    File names are out of order on purpose. `tags` are set on every file, by keyword.
    """
    from pydicom.uid import generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    series, study, frame = (generate_uid() for _ in range(3))
    common = {
        "SeriesInstanceUID": series,
        "StudyInstanceUID": study,
        "FrameOfReferenceUID": frame,
    }
    n = scan.grid_shape[2]
    for t in range(scan.n_times):
        for k in range(n):
            dataset = _dicom_plane(scan, k, t)
            for keyword, value in (common | tags).items():
                setattr(dataset, keyword, value)
            name = f"{t * n + (k * 7) % n if n % 7 else t * n + k:04}.dcm"
            dataset.save_as(folder / name, enforce_file_format=True)
    return folder


_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
}


def _dicom_plane(scan: Scan, k: int, t: int) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    plane = Dataset()
    plane.SOPClassUID = _CLASSES[scan.modality]
    plane.SOPInstanceUID = generate_uid()
    plane.Modality = scan.modality
    plane.PatientName, plane.PatientID = "Phantom^Oblique", "phantom-1"
    plane.InstanceNumber = t * scan.grid_shape[2] + k + 1
    if scan.n_times > 1:
        plane.TemporalPositionIdentifier = t + 1
        plane.NumberOfTemporalPositions = scan.n_times
    _set_geometry(plane, scan, k)
    _set_pixels(plane, scan, k, t)
    plane.file_meta = FileMetaDataset()
    plane.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return plane


def _set_geometry(plane: Any, scan: Scan, k: int) -> None:
    # DICOM counts from the left and the front, and its row direction is the way in
    # which the column index i grows (PS3.3 C.7.6.2.1.1).
    to_lps = np.array([-1.0, -1.0, 1.0])
    i, j, step = (scan.affine[:3, n] * to_lps for n in range(3))
    normal = np.cross(i, j) / np.linalg.norm(np.cross(i, j))
    plane.ImageOrientationPatient = _decimals(
        [*(i / np.linalg.norm(i)), *(j / np.linalg.norm(j))]
    )
    position = to_world(scan.affine, (0, 0, k)) * to_lps
    plane.ImagePositionPatient = _decimals(position)
    plane.PixelSpacing = _decimals([np.linalg.norm(j), np.linalg.norm(i)])
    plane.SliceThickness = _decimals([abs(step @ normal)])[0]


def _set_pixels(plane: Any, scan: Scan, k: int, t: int) -> None:
    stored = scan.stored(t)[:, :, k]
    bits = stored.dtype.itemsize * 8
    plane.Columns, plane.Rows = stored.shape[:2]
    plane.BitsAllocated, plane.BitsStored, plane.HighBit = bits, bits, bits - 1
    plane.PixelRepresentation = int(stored.dtype.kind == "i")
    plane.SamplesPerPixel = 3 if scan.color else 1
    plane.PhotometricInterpretation = "RGB" if scan.color else "MONOCHROME2"
    if scan.color:
        plane.PlanarConfiguration = 0
    else:
        plane.RescaleSlope, plane.RescaleIntercept = _decimals(
            [scan.slope, scan.intercept]
        )
    plane.PixelData = stored.swapaxes(0, 1).tobytes()


def _decimals(numbers: Any) -> list[Any]:
    from pydicom.valuerep import DSfloat

    return [DSfloat(float(n), auto_format=True) for n in numbers]


def _pattern() -> NDArray[np.int64]:
    i, j, k = np.indices(SHAPE)
    pattern = (7 * i + 3 * j + 11 * k) % 97
    pattern[BRIGHT] = BRIGHT_VALUE
    return pattern
