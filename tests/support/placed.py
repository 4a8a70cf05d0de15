"""Where a saliency map peaks, by each way that leads out of the package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.geometry import to_world
from napari_resonance.scan import Scan
from support.bundles import STRIDE
from support.phantoms import BRIGHT, NAMES, phantom

PHANTOMS = (*NAMES, "cropped", "padded")

# Small, so that few windows cover it.
NETWORK_SHAPE = (25, 33, 17)


def placed_phantom(name: str) -> tuple[Scan, np.ndarray]:
    """Return a phantom, cut or padded if so named, and the mm of its bright voxel."""
    if name in NAMES:
        return phantom(name)
    scan, mm = phantom("oblique")
    if name == "cropped":
        first = (2, 9, 1)
        voxels = scan.stored()[2:20, 9:, 1:14]
    else:
        first = (-3, -5, -2)
        voxels = np.pad(scan.stored(), [(3, 1), (5, 2), (2, 4)])
    affine = scan.affine.copy()
    affine[:3, 3] = to_world(scan.affine, first)
    moved = replace(scan, voxels=np.asfortranarray(voxels), affine=affine)
    assert moved.stored()[tuple(np.subtract(BRIGHT, first))] == voxels.max()
    return moved, mm


def strongest_mm(values: Any, affine: np.ndarray) -> np.ndarray:
    """Return the RAS+ mm of the largest value of an array with its affine."""
    index = np.unravel_index(int(np.argmax(values)), np.shape(values))
    return to_world(affine, index)


def read_back(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield reader and peak of a NIfTI map, as nibabel and SimpleITK place it."""
    import nibabel
    import SimpleITK

    image = nibabel.load(path)
    yield "nibabel", strongest_mm(image.get_fdata(), image.affine)
    itk = SimpleITK.ReadImage(str(path))
    values = SimpleITK.GetArrayFromImage(itk)
    k, j, i = (int(n) for n in np.unravel_index(int(values.argmax()), values.shape))
    point = itk.TransformIndexToPhysicalPoint((i, j, k))
    yield "SimpleITK", np.array(point) * (-1, -1, 1)


def steps_apart(affine: np.ndarray, one: Any, other: Any) -> float:
    """Return how many steps of a grid two places are apart, along its worst axis."""
    steps = np.linalg.inv(affine[:3, :3]) @ np.subtract(one, other)
    return float(np.abs(steps).max())


def limit(saliency: Saliency, network: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the grid in whose steps a method has to be right, and how many of them.

    Class activation maps are right to the nearest cell of their own. The spot is known
    to half a voxel of the network, for it is resampled before a threshold is set; so
    where two cells are as near to a hair, the other one is right, too. Methods that
    look at voxels are right to one voxel of the network.
    """
    if saliency.method == "fused-cam":
        return saliency.affine, 0.5
    cells = saliency.method in ("gradcam", "gradcam++", "hirescam")
    return (saliency.affine, 0.5 + 0.5 / STRIDE) if cells else (network, 1 + 1e-6)
