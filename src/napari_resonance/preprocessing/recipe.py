"""Recipe: how a scan becomes network input, as data that a model carries with it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import PreprocessingError
from napari_resonance.geometry import FloatArray, Grid, to_index
from napari_resonance.preprocessing import grid, intensity, region
from napari_resonance.preprocessing.channels import (
    keeps_stored,
    one_volume,
    start_volumes,
    stored_volume,
    valued,
)
from napari_resonance.preprocessing.grid import Prepared
from napari_resonance.preprocessing.pictures import WHITE, as_pictures
from napari_resonance.scan import Scan

COLOR = "color"
"""The step that keeps red, green and blue. Versions that do not know it refuse it."""

GEOMETRY_STEPS: dict[str, Callable[..., Prepared]] = {
    "orient": grid.orient,
    "resample_spacing": grid.resample_spacing,
    "resample_shape": grid.resample_shape,
    "crop_or_pad": grid.crop_or_pad,
    "head_crop": grid.head_crop,
    region.STEP: region.marked_box,
}
INTENSITY_STEPS: dict[str, Callable[..., Prepared]] = {
    COLOR: intensity.color,
    "ct_window": intensity.ct_window,
    "percentile": intensity.percentile,
    "zscore": intensity.zscore,
    "rank": intensity.rank,
    "uint8_imagenet": intensity.uint8_imagenet,
}
STEPS = GEOMETRY_STEPS | INTENSITY_STEPS


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
    channels
        What the scans of one case are called that are the network's input channels, in
        order; empty where it takes one scan.

    """

    dimensions: int
    steps: tuple[tuple[str, Mapping[str, Any]], ...]
    channels: tuple[str, ...] = ()

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
        if [name for name, _ in self.steps].count(region.STEP) > 1:
            raise PreprocessingError("a recipe has one 'box' at most")
        if COLOR in [name for name, _ in self.steps[1:]]:
            raise PreprocessingError(f"step {COLOR!r} comes first, and once")
        _check_channels(self.channels)

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
        channels = data.get("channels", [])
        if not isinstance(channels, list):
            raise PreprocessingError("the channels of a recipe are a list of names")
        return cls(data.get("dimensions", 0), pairs, tuple(channels))

    def to_json(self) -> dict[str, Any]:
        """Return ``{"dimensions": ..., "steps": [{"step": name, ...}, ...]}``.

        Where it takes several scans, their names are under ``channels``.
        """
        steps = [{"step": name, **arguments} for name, arguments in self.steps]
        data = {"dimensions": self.dimensions, "steps": steps}
        return data | ({"channels": list(self.channels)} if self.channels else {})

    @property
    def n_scans(self) -> int:
        """How many scans make one case."""
        return max(1, len(self.channels))

    @property
    def n_channels(self) -> int:
        """How many input channels the network is given."""
        return self.n_scans * (3 if self.color or self.is_imagenet else 1)

    @property
    def color(self) -> bool:
        """Whether the channels of a scan are its red, green and blue."""
        return any(name == COLOR for name, _ in self.steps)

    @property
    def of_pictures(self) -> bool:
        """Whether the network looks at images as pictures of 8 bits, 0 to 255.

        In grey they are told by their two dimensions: volumes of HU may have that
        window, too.
        """
        whole = any(
            name == "ct_window" and (a["low"], a["high"]) == (0, WHITE)
            for name, a in self.steps
        )
        return whole and (self.color or self.dimensions == 2)

    @property
    def is_imagenet(self) -> bool:
        """Whether the network is given the statistics of ImageNet's photographs."""
        return any(name == "uint8_imagenet" for name, _ in self.steps)

    @property
    def color_scales(self) -> tuple[tuple[float, float], ...]:
        """Black of each channel, and how far white is from it; empty without colour."""
        if not self.color:
            return ()
        if self.is_imagenet:
            settings = dict(self.steps)["uint8_imagenet"]
            return intensity.imagenet_scales(**settings) * self.n_scans
        return ((0.0, 1.0),) * self.n_channels

    @property
    def box(self) -> Mapping[str, Any] | None:
        """Arguments of the step ``box``, None where whole scans are looked at."""
        return dict(self.steps).get(region.STEP)

    @property
    def needs_center(self) -> bool:
        """Whether `apply` needs the centre of a region."""
        return self.box is not None and not self.box.get("default")

    def with_box(self, size_mm: Sequence[float]) -> Recipe:
        """Return the recipe with another size of its box.

        Raises
        ------
        PreprocessingError
            If it has no box, or the size is not valid.

        """
        if self.box is None:
            raise _no_box()
        kept = {k: v for k, v in self.box.items() if k not in ("shape", "size_mm")}
        try:
            size = [float(n) for n in size_mm]
        except (TypeError, ValueError):
            size = []  # refused as any other that is no size
        new = {"size_mm": size, **kept}
        steps = ((n, new if n == region.STEP else a) for n, a in self.steps)
        return replace(self, steps=tuple(steps))

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON; two recipes that differ anywhere differ here."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def monai_transforms(self) -> list[dict[str, Any]] | None:
        """Return the recipe as configurations of stock MONAI transforms.

        They take an image with its channel first under the key ``image``. None where a
        step has no exact counterpart, the network is 2D, or it takes several scans.
        """
        from napari_resonance.preprocessing.stock import stock_transform

        if self.dimensions == 2 or self.channels:
            return None
        result = []
        for name, arguments in self.steps:
            transform = stock_transform(name, arguments)
            if transform is None:
                return None
            result.append(transform)
        return result

    def apply(
        self,
        scans: Scan | Sequence[Scan],
        center_mm: Sequence[float] | None = None,
        *,
        time: int = 0,
    ) -> NetworkInput:
        """Prepare one case: a scan, or the scans that are its channels.

        Parameters
        ----------
        scans
            One scan, or as many as `channels` names, in that order. Others than the
            first are resampled onto its grid, by the millimetres of their affines.
        center_mm
            Middle of the region, in RAS+ mm; needed by recipes with a ``box``, and
            refused by others.
        time
            Which volume of a time series.

        Raises
        ------
        PreprocessingError
            If the number of scans is wrong, a scan holds NaN only, a centre is missing,
            not wanted or outside the scan, or a step cannot be applied.

        """
        names = self.channels or ("the scan",)
        cases, notes = self._scans(scans), tuple[str, ...]()
        if self.of_pictures:
            named = self.channels or ("",)
            cases, notes = as_pictures(cases, named, time, color=self.color)
        center = self._center(cases[0], center_mm)
        steps: Sequence[region.Step] = self.steps
        if center is None:
            volumes, steps = self._begin(cases, names, time)
        else:
            volumes, steps = region.begin(cases, names, steps, center, time)
        for name, arguments in steps:
            volumes = _applied(volumes, name, arguments)
        volume = one_volume(volumes, names)
        volume = volume.with_values(volume.values, *notes)
        return _network_input(volume, self.dimensions)

    def _scans(self, scans: Scan | Sequence[Scan]) -> Sequence[Scan]:
        given = [scans] if isinstance(scans, Scan) else list(scans)
        if len(given) == self.n_scans:
            return given
        one = "1 scan was" if len(given) == 1 else f"{len(given)} scans were"
        if not self.channels:
            raise PreprocessingError(f"one scan is needed, {one} given")
        raise PreprocessingError(
            f"{self.n_scans} scans are needed ({', '.join(self.channels)}), {one} "
            "given",
            remedy="Give all of them, in this order: the first, then each --channel",
        )

    def _begin(
        self, scans: Sequence[Scan], names: Sequence[str], time: int
    ) -> tuple[list[Prepared], Sequence[region.Step]]:
        """Return the channels, and the steps that are still to be done."""
        n_first = _first_resampling(self.steps)
        color = self.color
        if not n_first or len(scans) > 1 or not keeps_stored(scans[0], color=color):
            return start_volumes(scans, names, time, color=color), self.steps
        volume = stored_volume(scans[0], time)
        for name, arguments in self.steps[:n_first]:
            volume = STEPS[name](volume, **arguments)
        return [valued(volume, scans[0], time)], self.steps[n_first:]

    def _center(
        self, scan: Scan, center_mm: Sequence[float] | None
    ) -> FloatArray | None:
        """Return the centre of the region, None where whole scans are looked at."""
        if self.box is None:
            if center_mm is not None:
                raise _no_box()
            return None
        if center_mm is not None:
            return region.checked_center(scan, center_mm)
        if self.needs_center:
            raise region.no_center()
        return Grid(scan.grid_shape, scan.affine).center_mm


def _first_resampling(steps: Sequence[region.Step]) -> int:
    """Return how many steps it takes to resample, if nothing else comes before."""
    for n, (name, _) in enumerate(steps, 1):
        if name in ("resample_spacing", "resample_shape"):
            return n
        if name not in (COLOR, "orient"):
            return 0
    return 0


def _no_box() -> PreprocessingError:
    return PreprocessingError(
        "a region was asked for, but the model looks at whole scans: its recipe has no "
        "step 'box'",
        remedy="Leave centre and box out, or choose a model that looks at regions",
    )


def _applied(
    volumes: Sequence[Prepared], name: str, arguments: Mapping[str, Any]
) -> list[Prepared]:
    """Apply a step to each channel; where a step looks for a place, the first leads."""
    first = STEPS[name](volumes[0], **arguments)
    if name != "head_crop":
        return [first, *(STEPS[name](v, **arguments) for v in volumes[1:])]
    start = np.rint(to_index(volumes[0].affine, first.affine[:3, 3])).astype(int)
    shape = first.grid.shape
    return [first, *(grid.box(v, start.tolist(), shape) for v in volumes[1:])]


def _check_step(name: str, arguments: Mapping[str, Any]) -> None:
    if name not in STEPS:
        raise PreprocessingError(
            f"{name!r} is no preprocessing step that this version knows",
            remedy=f"Upgrade napari-resonance, or use one of: {', '.join(STEPS)}",
        )
    try:
        inspect.signature(STEPS[name]).bind(None, **arguments)
    except TypeError as error:
        raise PreprocessingError(f"step {name!r}: {error}") from error
    if name == region.STEP:
        region.check_box(arguments)


def _check_channels(names: Sequence[object]) -> None:
    if any(not isinstance(name, str) or not name.strip() for name in names):
        raise PreprocessingError("the channels of a recipe need names")
    if len(set(names)) != len(names):
        raise PreprocessingError("two channels of a recipe have the same name")


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
