"""Outline: what is known of a scan before its voxels are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_resonance.geometry import FloatArray, orientation_of, spacing_of
from napari_resonance.scan import Scan


@dataclass(frozen=True, eq=False)
class Outline:
    """All of a `Scan` but its voxels; fields of the same name mean the same.

    Parameters
    ----------
    shape
        As `Scan.shape`: ``(i, j, k)``, ``(i, j, k, t)`` or ``(i, j, k, 3)``.
    affine
        Voxel index to RAS+ mm.
    modality, color, oriented, study, series, sources, meta, warnings
        As in `Scan`. What only the pixels tell, such as a damaged file among good
        ones, is not among the warnings.
    n_bytes
        Memory that the voxels will take.

    """

    shape: tuple[int, ...]
    affine: FloatArray
    modality: str = ""
    color: bool = False
    oriented: bool = True
    study: str = ""
    series: str = ""
    sources: tuple[Path, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    n_bytes: int = 0

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxel centres along i, j and k."""
        return spacing_of(self.affine)

    @property
    def orientation(self) -> str | None:
        """Letters towards which i, j and k grow ("RAS", "LPI", ...), or None."""
        return orientation_of(self.affine) if self.oriented else None


def outline_of(scan: Scan) -> Outline:
    """Return the outline of a scan that was read."""
    return Outline(
        shape=scan.shape,
        affine=scan.affine,
        modality=scan.modality,
        color=scan.color,
        oriented=scan.oriented,
        study=scan.study,
        series=scan.series,
        sources=scan.sources,
        meta=scan.meta,
        warnings=scan.warnings,
        n_bytes=scan.voxels.nbytes,
    )
