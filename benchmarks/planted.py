"""Lesions planted in pieces of real scans, so that their place is known.

Of every piece that is drawn there is a copy with a lesion and one without, so that
nothing else tells the two apart. Lesions are ellipsoids of 10 to 25 mm, brighter or
darker than the tissue they lie in, with a soft edge and a texture; each lies anywhere
in its piece, and every patient is on one side of the split only.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from napari_resonance import read_scan
from napari_resonance.geometry import Grid, resample, to_world
from napari_resonance.saliency.localisation import Mask

SIDES = {
    "train": ("ljubljana_01", "ljubljana_19", "tcga_fg_6692", "boston_01"),
    "validation": ("ljubljana_04", "ljubljana_09"),
    "test": ("ljubljana_03", "tcga_du_7294"),
}
LABEL = "lesion"
RADIUS_MM = (5.0, 12.5)
CONTRAST = (0.3, 0.5)  # of the brightest that a scan shows
NOISE = 0.01  # of the same, in every copy

Array = np.ndarray


@dataclass(frozen=True)
class Setting:
    """How scans are cut into cases.

    Parameters
    ----------
    spacing
        Of the voxels of a piece, mm.
    shape
        Of a piece, voxels along the axes of its scan; 1 along z for images.
    pieces
        Of each scan, by side; there are two cases of each.

    """

    spacing: float
    shape: tuple[int, int, int]
    pieces: dict[str, int]


@dataclass(frozen=True)
class Case:
    """A file with a piece of a scan, and where its lesion is, if it has one."""

    path: Path
    patient: str
    side: str
    mask: Mask | None


@dataclass(frozen=True)
class _Lesion:
    """An ellipsoid: its middle and half axes in voxels of the scan."""

    middle: Array
    half: Array

    def weight(self, shape: tuple[int, ...], start: Array) -> Array:
        """Return how much of each voxel it fills, in a piece that begins at `start`."""
        index = np.indices(shape) + start.reshape(3, 1, 1, 1)
        away = (index - self.middle.reshape(3, 1, 1, 1)) / self.half.reshape(3, 1, 1, 1)
        # The edge is two voxels wide.
        depth = (1 - np.sqrt((away**2).sum(axis=0))) * self.half.min()
        return np.clip(depth / 2 + 0.5, 0, 1)


def planted(scans: Path, setting: Setting, folder: Path) -> list[Case]:
    """Write pieces of all scans, with a lesion and without; return the cases.

    Parameters
    ----------
    scans
        Folder of the heads, one folder a patient.
    setting
        How they are cut.
    folder
        Where the pieces are written.

    """
    rng = np.random.default_rng(0)
    cases = []
    for side, patients in SIDES.items():
        for patient in patients:
            for source in sorted((scans / patient).glob("*.nii.gz")):
                values, affine = _coarse(source, setting)
                head = ndimage.binary_fill_holes(values > 0.1)
                depth = round(12 / setting.spacing)
                inside = np.argwhere(ndimage.binary_erosion(head, iterations=depth))
                for number in range(setting.pieces[side]):
                    stem = f"{patient}_{source.name.split('.')[0]}_{number}"
                    lesion = _draw(inside, rng, setting)
                    pair = _pair(values, affine, lesion, rng, setting)
                    for has_lesion, (piece, place, mask) in enumerate(pair):
                        path = folder / f"{stem}_{has_lesion}.nii"
                        stored = np.clip(piece * 1000, 0, 2000).astype(np.int16)
                        nibabel.save(nibabel.Nifti1Image(stored, place), path)
                        cases.append(Case(path, patient, side, mask))
    return cases


def write_table(cases: list[Case], path: Path) -> Path:
    """Write the table of labels that `finetune` reads."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "patient", "split"))
        for case in cases:
            label = LABEL if case.mask is not None else "none"
            writer.writerow((case.path.name, label, case.patient, case.side))
    return path


def _coarse(source: Path, setting: Setting) -> tuple[Array, Array]:
    """Return a scan on a grid of one spacing, 1 at its brightest.

    Along its own axes; for images the last one is the patient's long axis.
    """
    scan = read_scan(source)
    sides = np.array(scan.spacing)
    affine = scan.affine @ np.diag([*(setting.spacing / sides), 1.0])
    size = np.array(scan.grid_shape) * sides / setting.spacing
    x, y, z = (int(n) for n in np.maximum(1, np.floor(size)))
    values = resample(
        scan.values().astype(np.float32), scan.affine, Grid((x, y, z), affine)
    )
    if setting.shape[2] == 1:
        axis = int(np.argmax(np.abs(affine[2, :3])))
        values = np.moveaxis(values, axis, 2)
        order = [*(n for n in range(3) if n != axis), axis, 3]
        affine = affine[:, order]
    return np.clip(values / np.percentile(values, 99.5), 0, 1.5), affine


def _draw(inside: Array, rng: np.random.Generator, setting: Setting) -> _Lesion:
    size = rng.uniform(*RADIUS_MM) * rng.uniform(0.8, 1.25, 3)
    half = np.clip(size, *RADIUS_MM) / setting.spacing
    return _Lesion(inside[rng.integers(len(inside))], half)


def _pair(
    values: Array,
    affine: Array,
    lesion: _Lesion,
    rng: np.random.Generator,
    setting: Setting,
) -> list[tuple[Array, Array, Mask | None]]:
    """Return a piece without a lesion and with it: voxels, affine, mask."""
    shape = np.array(setting.shape)
    # Anywhere in its piece, as a whole.
    room = np.maximum(0, shape // 2 - np.ceil(lesion.half).astype(int) - 1)
    start = lesion.middle - rng.integers(-room, room + 1) - shape // 2
    place = affine.copy()
    place[:3, 3] = to_world(affine, start)
    piece = _cut(values, start, shape)
    weight = lesion.weight(setting.shape, start)
    without, with_lesion = (piece + rng.normal(0, NOISE, shape) for _ in range(2))
    with_lesion += weight * _change(piece, weight, rng)
    return [
        (without, place, None),
        (with_lesion, place, Mask(weight > 0.5, place)),
    ]


def _cut(values: Array, start: Array, shape: Array) -> Array:
    """Return a piece of a scan; 0 where it goes beyond."""
    before = np.maximum(0, -start)
    after = np.maximum(0, start + shape - values.shape)
    padded = np.pad(values, list(zip(before, after, strict=True)))
    low = start + before
    return padded[tuple(slice(a, a + n) for a, n in zip(low, shape, strict=True))]


def _change(piece: Array, weight: Array, rng: np.random.Generator) -> Array:
    """Return by how much a lesion is brighter or darker than its tissue, voxelwise."""
    contrast = rng.uniform(*CONTRAST)
    tissue = float(piece[weight > 0.5].mean())
    # What is dark already cannot become darker by so much.
    sign = 1 if tissue < contrast else rng.choice((-1, 1))
    texture = ndimage.gaussian_filter(rng.normal(size=weight.shape), 1.0)
    return sign * contrast * (1 + 0.25 * texture / texture.std())
