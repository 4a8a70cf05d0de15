"""Scan: voxels ``(i, j, k)`` with an affine from voxel index to RAS+ millimetres."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.errors import GeometryError
from napari_resonance.geometry import (
    FloatArray,
    checked_affine,
    orientation_of,
    spacing_of,
)


@dataclass(frozen=True, eq=False)
class Scan:
    """One image as stored, and where it lies in the patient.

    Parameters
    ----------
    voxels
        Array indexed ``(i, j, k)``, ``(i, j, k, t)`` for a time series, or
        ``(i, j, k, 3)`` where `color`. Any dtype, as stored; an ndarray, a memmap or
        a dask array. Slices are planes in memory: ``voxels.T`` is C-contiguous for
        grey scans and ``voxels.transpose(2, 1, 0, 3)`` for colour ones. A 2D image
        has ``k = 1``. Kept as a read-only view, never copied.
    affine
        4×4, voxel index ``(i, j, k)`` to RAS+ mm (x to the patient's right is
        positive, y anterior, z superior). May hold a shear (gantry tilt).
    modality
        DICOM modality (PS3.3 C.7.3.1.1.1) such as ``"CT"``, ``"MR"``, ``"DX"``; empty
        if unknown.
    slope, intercept
        Physical value = ``slope * stored + intercept`` (PS3.3 C.11.1, NIfTI
        ``scl_slope``/``scl_inter``).
    color
        The last axis of `voxels` is red, green, blue.
    oriented
        False where the file gives no orientation (radiographs, secondary captures):
        the affine is then only ``diag(spacing)`` and `orientation` is None.
    study, series
        Identifiers as found in the file; never shown unless asked for.
    sources
        The files the voxels came from.
    meta
        Named acquisition facts (``echo_time_ms``, ``window_center``, ...).
    warnings
        What is odd about the scan, in sentences.

    Raises
    ------
    GeometryError
        If the affine is not an invertible finite 4×4 matrix, or the voxels do not
        have the axes described above.

    """

    voxels: Any
    affine: FloatArray
    modality: str = ""
    slope: float = 1.0
    intercept: float = 0.0
    color: bool = False
    oriented: bool = True
    study: str = ""
    series: str = ""
    sources: tuple[Path, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check once what nothing later checks again."""
        affine = checked_affine(self.affine)
        affine.setflags(write=False)
        self._set("affine", affine)
        self._set("voxels", _read_only(self.voxels))
        self._check_axes()
        self._set("slope", float(self.slope))
        self._set("intercept", float(self.intercept))
        self._set("sources", tuple(Path(s) for s in self.sources))
        self._set("meta", MappingProxyType(dict(self.meta)))
        self._set("warnings", tuple(self.warnings))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_axes(self) -> None:
        shape = self.voxels.shape
        if len(shape) not in (3, 4) or (self.color and len(shape) != 4):
            raise GeometryError(f"voxels must have 3 or 4 axes, these have {shape}")
        if self.color and shape[3] != 3:
            raise GeometryError(f"colour voxels need 3 channels, these have {shape[3]}")
        if 0 in shape:
            raise GeometryError(f"voxels hold nothing: their shape is {shape}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `voxels`: ``(i, j, k)`` or ``(i, j, k, t)``; RGB axis included."""
        return tuple(int(n) for n in self.voxels.shape)

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Number of voxels along i, j and k."""
        i, j, k = self.shape[:3]
        return i, j, k

    @property
    def n_times(self) -> int:
        """Number of volumes: 1, or the length of the time axis."""
        return 1 if self.color or len(self.shape) == 3 else self.shape[3]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxel centres along i, j and k."""
        return spacing_of(self.affine)

    @property
    def orientation(self) -> str | None:
        """Letters towards which i, j and k grow ("RAS", "LPI", ...), or None."""
        return orientation_of(self.affine) if self.oriented else None

    @property
    def is_lazy(self) -> bool:
        """Whether the voxels are computed when asked for (a dask array)."""
        return hasattr(self.voxels, "dask")

    def stored(self, time: int = 0) -> NDArray[Any]:
        """Return the stored voxels of one volume, ``(i, j, k)`` or ``(i, j, k, 3)``."""
        volume = self.voxels[..., time] if self._has_time else self.voxels
        return np.asarray(volume)

    @property
    def _has_time(self) -> bool:
        return not self.color and len(self.shape) == 4

    def values(self, time: int = 0) -> NDArray[np.float32]:
        """Return one volume's physical values, float32 ``(i, j, k)``; HU for CT."""
        stored = self.stored(time)
        if self.slope == 1 and self.intercept == 0:
            return _as_float32(stored)
        result = np.empty_like(stored, np.float32)
        for k in range(stored.shape[2]):  # in float64, of which all takes much memory
            plane = stored[:, :, k] * np.float64(self.slope) + self.intercept
            result[:, :, k] = _as_float32(plane)
        return result

    def slice(self, k: int, time: int = 0) -> NDArray[np.float32]:
        """Return the physical values of plane `k`, float32 ``(i, j)``."""
        plane = np.asarray(
            self.voxels[:, :, k, time] if self._has_time else self.voxels[:, :, k]
        )
        return (plane * np.float64(self.slope) + self.intercept).astype(np.float32)

    def same_as(self, other: Scan, *, tolerance_mm: float = 1e-4) -> bool:
        """Tell whether all fields of two scans agree, affines within `tolerance_mm`."""
        plain = [f.name for f in fields(self) if f.name not in ("voxels", "affine")]
        return (
            all(_equal(getattr(self, n), getattr(other, n)) for n in plain)
            and bool(np.allclose(self.affine, other.affine, rtol=0, atol=tolerance_mm))
            and self.voxels.dtype == other.voxels.dtype
            and _equal(np.asarray(self.voxels), np.asarray(other.voxels))
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the constructor, for a read-only mapping cannot be pickled."""
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        return _restored, (state | {"meta": dict(self.meta)},)

    def __repr__(self) -> str:
        """Return one line without identifiers."""
        size = "×".join(map(str, self.shape))
        spacing = "×".join(f"{s:.3g}" for s in self.spacing)
        kind = self.modality or "unknown modality"
        return f"Scan({kind}, {size}, {spacing} mm, {self.orientation or 'unoriented'})"


class HasSources(Protocol):
    """What came from files."""

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files."""


def source_of(scan: HasSources) -> str:
    """Return a scan's file, or the folder that holds all of its files."""
    if len(scan.sources) == 1:
        return str(scan.sources[0])
    folders = {str(path.parent) for path in scan.sources}
    return os.path.commonpath(folders) if folders else ""


def _restored(state: dict[str, Any]) -> Scan:
    return Scan(**state)


def _as_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    # What float32 cannot hold becomes infinite, and is told as such when prepared.
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def _read_only(voxels: ArrayLike) -> Any:
    if hasattr(voxels, "dask"):
        return voxels
    view = np.asanyarray(voxels).view()
    view.setflags(write=False)
    return view


def _equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        both_float = a.dtype.kind == b.dtype.kind == "f"
        return bool(np.array_equal(a, b, equal_nan=both_float))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b
