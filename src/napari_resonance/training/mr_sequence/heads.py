"""Labelled head scans as boxes on the network's grid, ready for augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import TrainingError
from napari_resonance.geometry import Grid, resample
from napari_resonance.preprocessing.channels import start_volume
from napari_resonance.preprocessing.grid import Prepared, head_mask
from napari_resonance.preprocessing.intensity import foreground_ranks
from napari_resonance.preprocessing.recipe import GEOMETRY_STEPS, Recipe
from napari_resonance.reading import read_scan
from napari_resonance.training.cases import Case

# Voxels around the network's box, so that rotating and shifting find real tissue.
MARGIN = 8

FloatVolumes = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Visit:
    """T1w, T2w and FLAIR of one visit on one grid, and the tissues they tell apart.

    Parameters
    ----------
    patient
        Whose visit it was.
    ranks
        ``(3, X, Y, Z)`` ranks of T1w, T2w, FLAIR.
    tissues
        ``(3, X, Y, Z)`` share of white matter, grey matter and fluid; None where they
        could not be told apart.
    depth
        ``(X, Y, Z)`` distance from the head's surface in voxels.

    """

    patient: str
    ranks: FloatVolumes
    tissues: FloatVolumes | None
    depth: FloatVolumes


@dataclass(frozen=True, eq=False)
class HeadSet:
    """Boxes around labelled heads.

    Parameters
    ----------
    boxes
        ``(n, X, Y, Z)`` values with the margin, scaled to the 99th percentile.
    depth
        ``(n, X, Y, Z)`` distance from the head's surface in voxels; 0 outside.
    targets
        ``(n,)`` index of the label.
    patients, sites
        ``(n,)`` of each box.
    visits
        Visits with all three sequences.
    labels
        Names of the labels.
    shape
        Of the network's input, without the margin.

    """

    boxes: FloatVolumes
    depth: FloatVolumes
    targets: NDArray[np.int64]
    patients: NDArray[np.str_]
    sites: NDArray[np.str_]
    visits: tuple[Visit, ...]
    labels: tuple[str, ...]
    shape: tuple[int, int, int]

    def without(self, patients: Sequence[str]) -> HeadSet:
        """Return the set without these patients."""
        return self._chosen(~np.isin(self.patients, patients))

    def only(self, patients: Sequence[str]) -> HeadSet:
        """Return the set of these patients only."""
        return self._chosen(np.isin(self.patients, patients))

    def _chosen(self, keep: NDArray[np.bool_]) -> HeadSet:
        patients = set(self.patients[keep])
        return HeadSet(
            self.boxes[keep],
            self.depth[keep],
            self.targets[keep],
            self.patients[keep],
            self.sites[keep],
            tuple(v for v in self.visits if v.patient in patients),
            self.labels,
            self.shape,
        )

    @property
    def centers(self) -> FloatVolumes:
        """The boxes without their margin, ``(n, *shape)``."""
        return without_margin(self.boxes)


def without_margin(volumes: FloatVolumes) -> FloatVolumes:
    """Cut the margin off the last three axes."""
    inner = slice(MARGIN, -MARGIN)
    return volumes[..., inner, inner, inner]


def prepare_heads(
    files: Sequence[Case], recipe: Recipe, labels: Sequence[str]
) -> HeadSet:
    """Read labelled scans and cut their boxes as the recipe does, with a margin.

    Raises
    ------
    TrainingError
        If a label is unknown or the recipe has no ``head_crop``.
    ReadError, PreprocessingError
        If a scan cannot be read or holds no head.

    """
    for file in files:
        if file.label not in labels:
            raise TrainingError(f"unknown label {file.label!r}", source=file.paths[0])
    prepared = [head_box(file, recipe) for file in files]
    boxes = [p.values / np.percentile(p.values, 99) for p in prepared]
    steps = dict(recipe.steps)
    x, y, z = steps["head_crop"]["shape"]
    return HeadSet(
        np.stack(boxes).astype(np.float32),
        np.stack([surface_depth(p.values) for p in prepared]),
        np.array([list(labels).index(f.label) for f in files]),
        np.array([f.patient for f in files]),
        np.array([f.groups.get("site", "") for f in files]),
        tuple(_visits(files, prepared, recipe)),
        tuple(labels),
        (x, y, z),
    )


def head_box(file: Case, recipe: Recipe) -> Prepared:
    """Apply a recipe's geometry steps to a scan, its head crop with the margin."""
    volume = start_volume(read_scan(file.paths[0]))
    cropped = False
    for name, arguments in recipe.steps:
        if name in GEOMETRY_STEPS:
            extra = {"margin": MARGIN} if name == "head_crop" else {}
            volume = GEOMETRY_STEPS[name](volume, **arguments, **extra)
            cropped = cropped or name == "head_crop"
    if not cropped:
        raise TrainingError("the recipe has no head_crop step")
    return volume


def surface_depth(values: FloatVolumes) -> FloatVolumes:
    """Return each voxel's distance from the head's surface, in voxels; 0 outside."""
    from scipy import ndimage

    closed = ndimage.binary_closing(head_mask(values, 0.08), iterations=2)
    filled = ndimage.binary_fill_holes(closed)
    depth: FloatVolumes = ndimage.distance_transform_edt(filled).astype(np.float32)
    return depth


def _visits(
    files: Sequence[Case], prepared: Sequence[Prepared], recipe: Recipe
) -> list[Visit]:
    groups: dict[str, dict[str, int]] = {}
    for n, file in enumerate(files):
        groups.setdefault(_visit(file), {})[file.label] = n
    visits = []
    for group in groups.values():
        if not {"T1w", "T2w", "FLAIR"} <= group.keys():
            continue
        reference = prepared[group["T1w"]]
        grid = Grid(_shape3(reference.values), reference.affine)
        ranks = [foreground_ranks(reference.values, 0.08)]
        for label in ("T2w", "FLAIR"):
            # Scans of one visit share the scanner's coordinates.
            volume = start_volume(read_scan(files[group[label]].paths[0]))
            moved = resample(volume.values, volume.affine, grid, outside=0.0)
            ranks.append(foreground_ranks(moved, 0.08))
        stacked = np.stack(ranks)
        depth = surface_depth(reference.values)
        patient = files[group["T1w"]].patient
        visits.append(Visit(patient, stacked, tissue_shares(stacked, depth), depth))
    return visits


def _visit(case: Case) -> str:
    """Return folder and name up to the last underscore: shared by a visit's scans."""
    path = case.paths[0]
    stem = path.name.split(".")[0]
    return f"{path.parent}/{stem.rpartition('_')[0]}"


def _shape3(values: FloatVolumes) -> tuple[int, int, int]:
    x, y, z = values.shape
    return x, y, z


def tissue_shares(ranks: FloatVolumes, depth: FloatVolumes) -> FloatVolumes | None:
    """Tell white matter, grey matter and fluid apart in registered T1w, T2w and FLAIR.

    A mixture of four normal distributions (the fourth takes what is dark everywhere),
    started from the order in which the tissues shine in the three sequences.

    Parameters
    ----------
    ranks
        ``(3, X, Y, Z)`` ranks of T1w, T2w and FLAIR.
    depth
        ``(X, Y, Z)`` distance from the head's surface in voxels.

    Returns
    -------
    ndarray
        ``(3, X, Y, Z)`` share of white matter, grey matter and fluid in each voxel;
        None where white matter does not come out deeper than grey matter.

    """
    from sklearn.mixture import GaussianMixture

    inside = (depth > 4) & (ranks.max(axis=0) > 0)
    points = ranks[:, inside].T
    start = np.array(
        [[0.8, 0.3, 0.5], [0.5, 0.6, 0.8], [0.15, 0.9, 0.2], [0.1, 0.1, 0.1]]
    )
    mixture = GaussianMixture(4, means_init=start, max_iter=50, reg_covar=1e-3)
    shares = mixture.fit(points).predict_proba(points)
    white, grey = (np.average(depth[inside], weights=s) for s in shares.T[:2])
    # Motion or a missing skull lets the mixture settle on something else than tissue.
    if white < grey + 1:
        return None
    result = np.zeros(ranks.shape, np.float32)
    result[:, inside] = shares[:, :3].T
    return result
