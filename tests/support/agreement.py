"""Whether two readers put the same voxels at the same millimetre."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from napari_resonance.geometry import reorient, to_world
from napari_resonance.scan import Scan


def disagreement(scan: Scan, image: Any, *, tolerance_mm: float = 0.02) -> str:
    """Compare a scan with a nibabel image up to flips and the order of axes.

    Returns an empty string where both have the same stored voxels at the same place,
    else what differs.
    """
    voxels, affine = reorient(np.asarray(scan.voxels), scan.affine, "RAS")
    stored, other = reorient(image.dataobj.get_unscaled(), image.affine, "RAS")
    if voxels.shape != stored.shape:
        return f"shapes differ: {voxels.shape}, {stored.shape}"
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in voxels.shape[:3]]))
    corners = corners.reshape(3, -1).T
    apart = np.abs(to_world(affine, corners) - to_world(other, corners)).max()
    if apart > tolerance_mm:
        return f"{apart:.3f} mm apart"
    n_wrong = int((voxels != stored).sum())
    return f"{n_wrong} voxels differ" if n_wrong else ""


def agreeing(scan: Scan, references: list[Path]) -> list[Path]:
    """Return the reference images that a scan equals."""
    return [f for f in references if not disagreement(scan, nibabel.load(f))]


def converted(folder: Path, out: Path) -> list[Path]:
    """Convert a DICOM folder with dcm2niix; skip the test where it is missing."""
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    command = [
        program,
        "-b",
        "n",
        "-z",
        "n",
        "-f",
        "%s_%e_%p",
        "-o",
        str(out),
        str(folder),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(out.glob("*.nii"))
