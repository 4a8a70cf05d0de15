"""Recipe: how a scan becomes network input, as data that a model carries with it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import Grid, unshear
from napari_resonance.preprocessing import grid, intensity
from napari_resonance.preprocessing.grid import Prepared
from napari_resonance.scan import Scan

GEOMETRY_STEPS: dict[str, Callable[..., Prepared]] = {
    "orient": grid.orient,
    "resample_spacing": grid.resample_spacing,
    "resample_shape": grid.resample_shape,
    "crop_or_pad": grid.crop_or_pad,
    "head_crop": grid.head_crop,
}
INTENSITY_STEPS: dict[str, Callable[..., Prepared]] = {
    "ct_window": intensity.ct_window,
    "percentile": intensity.percentile,
    "zscore": intensity.zscore,
    "rank": intensity.rank,
    "uint8_imagenet": intensity.uint8_imagenet,
}
STEPS = GEOMETRY_STEPS | INTENSITY_STEPS

# ITU-R BT.601 luma, as DICOM's YBR_FULL (PS3.3 C.7.6.3.1.2).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """What the network is given, and where it lies.

    Parameters
    ----------
    array
        float32 ``(N, C, X, Y, Z)`` with N = 1, or, for a 2D network,
        ``(N, C, row, column)`` with one image for each slice.
    grid
        Where the voxels lie: its axes are ``(X, Y, Z)``, or ``(row, column, slice)``.
    warnings
        What was odd, in sentences.

    """

    array: NDArray[np.float32]
    grid: Grid
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """An ordered list of preprocessing steps for a 2D or a 3D network.

    Parameters
    ----------
    dimensions
        Of the network: 2 or 3.
    steps
        ``(name, arguments)`` in the order in which they are applied; the names are the
        keys of `STEPS`.

    """

    dimensions: int
    steps: tuple[tuple[str, Mapping[str, Any]], ...]

    def __post_init__(self) -> None:
        """Refuse a recipe that could not be applied.

        Raises
        ------
        PreprocessingError
            If a step or an argument is unknown or missing.

        """
        if self.dimensions not in (2, 3):
            raise PreprocessingError(
                f"a recipe has 2 or 3 dimensions, not {self.dimensions}"
            )
        for name, arguments in self.steps:
            _check_step(name, arguments)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Read what `to_json` wrote.

        Raises
        ------
        PreprocessingError
            If it is not a valid recipe.

        """
        steps = data.get("steps")
        if not isinstance(steps, list) or not all(isinstance(s, dict) for s in steps):
            raise PreprocessingError("a recipe needs a list of steps")
        pairs = tuple(
            (str(s.get("step")), {k: v for k, v in s.items() if k != "step"})
            for s in steps
        )
        return cls(data.get("dimensions", 0), pairs)

    def to_json(self) -> dict[str, Any]:
        """Return ``{"dimensions": ..., "steps": [{"step": name, ...}, ...]}``."""
        steps = [{"step": name, **arguments} for name, arguments in self.steps]
        return {"dimensions": self.dimensions, "steps": steps}

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON; two recipes that differ anywhere differ here."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def monai_transforms(self) -> list[dict[str, Any]] | None:
        """Return the recipe as configurations of stock MONAI transforms.

        They take an image with its channel first under the key ``image``. None where a
        step has no exact counterpart, or the network is 2D.
        """
        from napari_resonance.preprocessing.stock import stock_transform

        if self.dimensions == 2:
            return None
        result = []
        for name, arguments in self.steps:
            transform = stock_transform(name, arguments)
            if transform is None:
                return None
            result.append(transform)
        return result

    def apply(self, scan: Scan, *, time: int = 0) -> NetworkInput:
        """Prepare one volume of a scan.

        Raises
        ------
        PreprocessingError
            If the scan holds NaN only, or a step cannot be applied to it.

        """
        volume = start_volume(scan, time)
        for name, arguments in self.steps:
            volume = STEPS[name](volume, **arguments)
        return _network_input(volume, self.dimensions)


def _check_step(name: str, arguments: Mapping[str, Any]) -> None:
    if name not in STEPS:
        raise PreprocessingError(
            f"{name!r} is no preprocessing step", remedy=f"Known: {', '.join(STEPS)}"
        )
    try:
        inspect.signature(STEPS[name]).bind(None, **arguments)
    except TypeError as error:
        raise PreprocessingError(f"step {name!r}: {error}") from error


def start_volume(scan: Scan, time: int = 0) -> Prepared:
    """Return a scan's physical values, grey, finite, on orthogonal axes.

    Raises
    ------
    PreprocessingError
        If no value is finite.

    """
    warnings: list[str] = []
    scan = unshear(scan)
    values = scan.values(time)
    if scan.color:
        values = values @ _LUMA
        warnings.append("colour was turned into brightness")
    finite = np.isfinite(values)
    if not finite.all():
        if not finite.any():
            raise PreprocessingError("the scan holds no finite value")
        lowest = values[finite].min()
        values = np.where(finite, values, lowest)
        share = 100 * (1 - finite.mean())
        warnings.append(
            f"{share:.2g} % of the voxels are not finite; set to the lowest"
        )
    if scan.n_times > 1:
        warnings.append(f"volume {time + 1} of {scan.n_times} was used")
    return Prepared(values, scan.affine, scan.oriented, tuple(warnings))


def _network_input(volume: Prepared, dimensions: int) -> NetworkInput:
    values = volume.values if volume.values.ndim == 4 else volume.values[..., None]
    if dimensions == 3:
        array = np.moveaxis(values, 3, 0)[None]
        affine = volume.affine
    else:
        # An image is shown with x to the right and y down: rows are y, columns x.
        array = values.transpose(2, 3, 1, 0)
        affine = volume.affine[:, [1, 0, 2, 3]]
    order = (2, 3, 4) if dimensions == 3 else (2, 3, 0)
    x, y, z = (array.shape[n] for n in order)
    contiguous = np.ascontiguousarray(array, np.float32)
    return NetworkInput(contiguous, Grid((x, y, z), affine), volume.warnings)
