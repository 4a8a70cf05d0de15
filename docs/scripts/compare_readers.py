"""Count how many series each reader puts at the same millimetre as dcm2niix.

Every CT, MR or PET series that says where it lies, below the folders given, gets a
folder of its own, which dcm2niix converts; each image that it writes is a case. A
reader has it right if something that it makes of that folder has the same voxels
(stored or rescaled) within 0.05 mm of their place, up to flips and the order of axes.

    pip install SimpleITK dicom2nifti
    python docs/scripts/compare_readers.py FOLDER... [--details]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from napari_resonance.errors import GeometryError
from napari_resonance.geometry import LPS_TO_RAS, reorient, to_world
from napari_resonance.reading import read_scans

TOLERANCE_MM = 0.05
Volumes = list[tuple[list[np.ndarray], np.ndarray]]
"""Voxels, stored and rescaled, with the affine to RAS+ mm."""


def ours(folder: Path, scratch: Path) -> Volumes:
    """Read with this package."""
    return [
        (
            [
                np.asarray(s.voxels),
                np.asarray(s.voxels) * np.float64(s.slope) + s.intercept,
            ],
            s.affine,
        )
        for s in read_scans(folder)
        if s.oriented
    ]


def simpleitk(folder: Path, scratch: Path) -> Volumes:
    """Read each series with SimpleITK's ImageSeriesReader."""
    import SimpleITK as sitk  # noqa: N813 - its users' name

    found: Volumes = []
    for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
        image = reader.Execute()
        if image.GetDimension() != 3:
            continue
        affine = np.eye(4)
        directions = np.array(image.GetDirection()).reshape(3, 3)
        affine[:3, :3] = directions * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        found.append(([sitk.GetArrayFromImage(image).T], LPS_TO_RAS @ affine))
    return found


def monai(folder: Path, scratch: Path) -> Volumes:
    """Read the folder with MONAI's LoadImage and PydicomReader."""
    from monai.transforms import LoadImage

    image = LoadImage(reader="PydicomReader")(str(folder))
    return [([np.asarray(image)], np.asarray(image.affine, np.float64))]


def dicom2nifti(folder: Path, scratch: Path) -> Volumes:
    """Convert the folder with dicom2nifti."""
    import dicom2nifti as converter

    converter.convert_directory(str(folder), str(scratch), compression=False)
    return [
        ([image.dataobj.get_unscaled(), np.asarray(image.dataobj)], image.affine)
        for image in map(nibabel.load, scratch.rglob("*.nii"))
    ]


READERS: dict[str, Callable[[Path, Path], Volumes]] = {
    "napari-resonance": ours,
    "dicom2nifti": dicom2nifti,
    "SimpleITK": simpleitk,
    "MONAI PydicomReader": monai,
}


def main() -> None:
    """Compare and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--details", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    right: Counter[str] = Counter()
    n_cases = 0
    with tempfile.TemporaryDirectory() as links:
        for folder in _series_of(options.folders, Path(links)):
            with tempfile.TemporaryDirectory() as scratch:
                cases = _converted(folder, Path(scratch))
                n_cases += len(cases)
                for name, reader in READERS.items():
                    made = _made(reader, folder, Path(scratch) / name)
                    wrong = [c for c in cases if not _agrees(nibabel.load(c), made)]
                    right[name] += len(cases) - len(wrong)
                    if options.details and wrong:
                        first = next(folder.iterdir()).resolve()
                        print(f"{first}: {name} has {len(wrong)} of {len(cases)} wrong")
    print(f"| reader | right of {n_cases} |\n|---|---|")
    for name in READERS:
        print(f"| {name} | {right[name]} |")


def _series_of(tops: Iterable[Path], links: Path) -> list[Path]:
    """Link the files of each series into a folder of its own."""
    folders: dict[tuple[Path, str], Path] = {}
    for top in tops:
        for path in sorted(p for p in top.rglob("*") if p.is_file()):
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True)
            except (InvalidDicomError, OSError, ValueError):
                continue
            if not _is_placed(header):
                continue
            uid = str(header.get("SeriesInstanceUID", ""))
            name = f"series-{len(folders):04d}"
            folder = folders.setdefault((path.parent, uid), links / name)
            folder.mkdir(exist_ok=True)
            (folder / f"{len(list(folder.iterdir())):06d}.dcm").symlink_to(
                path.resolve()
            )
    return list(folders.values())


def _is_placed(header: pydicom.Dataset) -> bool:
    """Tell whether an image is a cross section that says where it lies."""
    placed = "ImageOrientationPatient" in header
    grouped = "SharedFunctionalGroupsSequence" in header
    return header.get("Modality") in {"CT", "MR", "PT"} and (placed or grouped)


def _converted(folder: Path, scratch: Path) -> list[Path]:
    program = shutil.which("dcm2niix")
    if program is None:
        sys.exit("dcm2niix is not installed")
    out = scratch / "reference"
    out.mkdir()
    command = [program, "-b", "n", "-z", "n", "-f", "%s_%e_%p_%j"]
    command += ["-o", str(out), str(folder)]
    subprocess.run(command, check=False, capture_output=True, timeout=300)
    return sorted(out.glob("*.nii"))


def _made(reader: Callable[[Path, Path], Volumes], folder: Path, out: Path) -> Volumes:
    out.mkdir()
    hidden = io.StringIO()
    try:
        with contextlib.redirect_stdout(hidden), contextlib.redirect_stderr(hidden):
            return reader(folder, out)
    except Exception as error:  # noqa: BLE001 - what a peer raises is a wrong answer
        print(
            f"{folder}: {reader.__name__} failed: {type(error).__name__}",
            file=sys.stderr,
        )
        return []


def _agrees(reference: Any, made: Volumes) -> bool:
    expected = [reference.dataobj.get_unscaled(), np.asarray(reference.dataobj)]
    return any(
        _same(wanted, reference.affine, voxels, affine)
        for all_voxels, affine in made
        for voxels in all_voxels
        for wanted in expected
    )


def _same(
    wanted: np.ndarray, place: np.ndarray, voxels: np.ndarray, affine: np.ndarray
) -> bool:
    if wanted.ndim < 3 or voxels.ndim < 3:
        return False
    wanted, place = reorient(wanted, place, "RAS")
    try:
        voxels, affine = reorient(voxels, affine, "RAS")
    except GeometryError:
        return False  # some readers make an affine without depth
    if wanted.shape != voxels.shape or wanted.dtype.names:
        return False
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in wanted.shape[:3]]))
    corners = corners.reshape(3, -1).T
    apart = np.abs(to_world(place, corners) - to_world(affine, corners)).max()
    return bool(apart < TOLERANCE_MM and np.allclose(wanted, voxels, rtol=1e-4))


if __name__ == "__main__":
    main()
