"""All slices of a scan and its map on one cube of equal voxels, to scroll through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_resonance.display import display_range
from napari_resonance.export.overlay import Overlay, grey_levels
from napari_resonance.export.planes import (
    BODY_PLANES,
    STORED_PLANES,
    Plane,
    frame_of,
    letters_of,
    sample_saliency,
    sample_scan,
    titled,
)
from napari_resonance.geometry import Grid, to_index, to_world

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Saliency
    from napari_resonance.scan import Scan

# Column, row and depth of the three planes among the axes of the cube.
_AXES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
# Slices whose grey levels decide what is drawn black and white.
_LOOKED_AT = 16


@dataclass(frozen=True, eq=False)
class Cube:
    """Voxels of one size along all sides, upright in each of their three planes.

    Column, row and slice grow to the patient's left, back and feet; of a scan without
    orientation as its indices do. An oblique scan is not rotated.

    Parameters
    ----------
    grid
        Voxels ``(column, row, slice)`` and their affine to RAS+ mm.
    planes
        ``(name, letters)`` of the planes column × row, column × slice and row × slice;
        the letters as those of `Plane`.

    """

    grid: Grid
    planes: tuple[tuple[str, tuple[str, str, str, str] | None], ...]

    @classmethod
    def around(cls, scan: Scan, most: int) -> Cube:
        """Return the cube of a scan with at most so many voxels along its sides.

        They are never finer than the scan's; a scan that is one voxel thin stays so.
        """
        sign, table = (-1, BODY_PLANES) if scan.oriented else (1, STORED_PLANES)
        axes = frame_of(scan) * sign
        ends = [(-0.5, n - 0.5) for n in scan.grid_shape]
        corners = np.array(np.meshgrid(*ends)).reshape(3, -1).T
        along = to_world(scan.affine, corners) @ axes
        low, sides = along.min(axis=0), np.ptp(along, axis=0)
        thin = np.zeros(3, bool)
        for n in range(3):
            if scan.grid_shape[n] == 1:
                thin[np.abs(axes.T @ scan.affine[:3, n]).argmax()] = True
        finest = min(
            mm for mm, n in zip(scan.spacing, scan.grid_shape, strict=True) if n > 1
        )
        step = max(float(sides[~thin].max()) / most, finest)
        counts = np.where(thin, 1, np.maximum(1, np.round(sides / step))).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = axes * step
        affine[:3, 3] = axes @ (low + np.where(thin, sides / 2, step / 2))
        planes = []
        for (name, *_), (u, v, _w) in zip(table, _AXES, strict=True):
            letters = letters_of(axes[:, [u, v]]) if scan.oriented else None
            planes.append((titled(name, letters), letters))
        x, y, z = (int(n) for n in counts)
        return cls(Grid((x, y, z), affine), tuple(planes))

    def slices(self) -> Iterator[Plane]:
        """Yield each slice as a plane, the first one first."""
        columns, rows, n = self.grid.shape
        for z in range(n):
            part = self.grid.part((0, 0, z), (columns, rows, z + 1))
            yield Plane(f"slice {z}", part, None, (0.0, 0.0))

    def anatomy(self, scan: Scan) -> NDArray[np.uint8]:
        """Return the scan as it is drawn, RGB ``(slice, row, column, 3)``."""
        sampled = [sample_scan(scan, plane) for plane in self.slices()]
        every = max(1, len(sampled) // _LOOKED_AT)
        limits = display_range(scan, [v[seen] for v, seen in sampled[::every]])
        images = [grey_levels(v, seen, scan, limits) for v, seen in sampled]
        return np.round(np.stack(images) * 255).astype(np.uint8)

    def evidence(self, saliency: Saliency, overlay: Overlay) -> NDArray[np.uint8]:
        """Return a map ``(slice, row, column)``: 128 is none, 255 and 1 are the most.

        One step is 1/127 of the strongest evidence that is shown.
        """
        levels = []
        for plane in self.slices():
            values, seen = sample_saliency(saliency, plane)
            part = np.clip(np.where(seen, values, 0) / overlay.top, -1, 1)
            levels.append(np.round(128 + 127 * part).astype(np.uint8))
        return np.stack(levels)

    def voxel_at(self, point_mm: tuple[float, float, float]) -> list[int]:
        """Return the index of the voxel nearest to a point in RAS+ mm."""
        index = np.rint(to_index(self.grid.affine, point_mm))
        return [int(n) for n in np.clip(index, 0, np.array(self.grid.shape) - 1)]
