"""What the labelled scans are like, and the recipe that follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_resonance.errors import PreprocessingError, ResonanceError, TrainingError
from napari_resonance.geometry import spacing_of
from napari_resonance.preprocessing import Recipe
from napari_resonance.preprocessing.channels import brightness
from napari_resonance.preprocessing.pictures import WHITE
from napari_resonance.reading import read_scan
from napari_resonance.training.cases import Case
from napari_resonance.training.color import color_decision, is_colored
from napari_resonance.training.options import PRESETS, Decision, FinetuneOptions

_LOOKED_AT = 24
_KEPT_UP_TO = 64  # voxels along an axis that need not be made fewer
_BOX_MM = 40.0


@dataclass(frozen=True)
class Survey:
    """A look at some of the scans, brought to one orientation.

    Parameters
    ----------
    shapes, spacings
        Of each scan, ``(x, y, z)``.
    modalities
        Codes that occur.
    oriented
        Whether all of them know their orientation.
    values
        A sample of physical values of all of them, of colour scans their brightness.
    n_scans
        Scans of one case.
    regions
        Whether the cases are regions.
    colored
        Whether each scan shows colour, see `color.is_colored`.
    in_color
        Whether any is stored in colour.

    """

    shapes: tuple[tuple[int, ...], ...]
    spacings: tuple[tuple[float, ...], ...]
    modalities: tuple[str, ...]
    oriented: bool
    values: Any
    n_scans: int
    regions: bool
    colored: tuple[bool | None, ...] = ()
    in_color: bool = False

    @property
    def are_masks(self) -> bool:
        """Whether the scans hold two values."""
        return len(np.unique(self.values)) <= 2


def survey(cases: Sequence[Case]) -> Survey:
    """Look at some of the cases, spread over all of them.

    Raises
    ------
    TrainingError
        If none of them can be read.

    """
    step = max(1, len(cases) // _LOOKED_AT)
    plain = Recipe(3, (("orient", {"code": "RAS"}),))
    with_color = Recipe(3, (("color", {}), *plain.steps))
    shapes, spacings, values = [], [], []
    colored: list[bool | None] = []
    modalities, oriented, in_color = set(), True, False
    damaged: list[tuple[str, str]] = []
    for case in cases[::step]:
        try:
            scan = read_scan(case.paths[0])
            volume = (with_color if scan.color else plain).apply(scan)
        except ResonanceError as error:
            # Named and counted when the inputs are prepared.
            damaged.append((case.source, error.message))
            continue
        shapes.append(volume.grid.shape)
        spacings.append(spacing_of(volume.grid.affine))
        modalities.add(scan.modality)
        oriented &= scan.oriented
        in_color |= scan.color
        flat = volume.array.reshape(len(volume.array[0]), -1).T
        flat = flat[:: max(1, len(flat) // 20_000)]
        values.append(brightness(flat) if scan.color else flat[:, 0])
        colored.append(is_colored(flat) if scan.color else False)
    if not shapes:
        source, why = damaged[0]
        raise TrainingError(
            f"none of the labelled scans can be read; the first, {source}: {why}",
            remedy="Look at it with 'resonance inspect'; where a folder holds several "
            "series, name the folder or the file of one, or its SeriesInstanceUID in a "
            "column 'series'",
        )
    return Survey(
        tuple(shapes),
        tuple(spacings),
        tuple(sorted(modalities - {""})),
        oriented,
        np.concatenate(values),
        len(cases[0].paths),
        cases[0].center_mm is not None,
        tuple(colored),
        in_color,
    )


def automatic_recipe(
    found: Survey,
    options: FinetuneOptions,
    channels: int | None = None,
    *,
    is_imagenet: bool = False,
) -> tuple[Recipe, list[Decision]]:
    """Return the recipe that suits the scans, and why.

    Parameters
    ----------
    found, options
        What the scans are like, and what was chosen.
    channels
        Input channels of the pretrained network; None without one.
    is_imagenet
        Whether that expects colours with the statistics of ImageNet's.

    """
    decisions = []
    images = all(shape[2] == 1 for shape in found.shapes)
    dimensions = 2 if images else 3
    why = "all scans have one slice" if images else "the scans are volumes"
    decisions.append(Decision("dimensions", dimensions, why))
    steps: list[tuple[str, dict[str, Any]]] = [("orient", {"code": "RAS"})]
    color, why_color = color_decision(
        found.colored, options.color, channels, in_color=found.in_color
    )
    if why_color is not None:
        decisions.append(why_color)
    geometry, decision = _geometry(found, options, dimensions)
    steps += geometry
    decisions.append(decision)
    intensity = _of_colors if color else _intensity
    name, arguments, decision = intensity(found, dimensions)
    steps.append((name, arguments))
    decisions.append(decision)
    if color:
        steps.insert(0, ("color", {}))
    if color and is_imagenet:
        steps.append(("uint8_imagenet", {}))
        text = "ImageNet's mean and deviation of red, green and blue"
        why = "networks of photographs expect them"
        decisions.append(Decision("statistics", text, why))
    names: tuple[str, ...] = ()
    if found.n_scans > 1:
        names = tuple(f"channel {n + 1}" for n in range(found.n_scans))
    return Recipe(dimensions, tuple(steps), names), decisions


def _geometry(
    found: Survey, options: FinetuneOptions, dimensions: int
) -> tuple[list[tuple[str, dict[str, Any]]], Decision]:
    shapes = np.array(found.shapes)
    spacings = np.array(found.spacings)
    if options.shape is not None and len(options.shape) != dimensions:
        raise TrainingError(
            f"the scans are {'images' if dimensions == 2 else 'volumes'}, so their "
            f"input has {dimensions} axes, not {len(options.shape)}",
            remedy=f"Give --shape {dimensions} numbers",
        )
    if found.regions:
        return _box(float(np.median(spacings[:, :2])), options, dimensions)
    steps: list[tuple[str, dict[str, Any]]]
    if options.shape is not None:
        wanted: list[int | None] = [*options.shape]
        wanted += [None] * (3 - dimensions)
        return [("resample_shape", {"shape": wanted})], Decision(
            "input shape", list(options.shape), "chosen with --shape"
        )
    same = bool((shapes == shapes[0]).all())
    axes = shapes[0][:dimensions]
    if same and axes.max() <= _KEPT_UP_TO:
        return _kept(axes, dimensions)
    preset = PRESETS[options.preset]
    extent = np.median(shapes * spacings, axis=0)[:dimensions]
    most = preset["voxels"] if dimensions == 3 else preset["pixels"]
    finest = np.median(spacings, axis=0)[:dimensions]
    spacing = max(
        float(finest.min()), float((extent.prod() / most) ** (1 / dimensions))
    )
    shape = [int(max(16, math.ceil(e / spacing))) for e in extent]
    rest = [None] * (3 - dimensions)
    why = (
        f"the median extent of the scans is {_times(np.rint(extent))} mm, and the "
        f"preset {options.preset!r} allows {most:,} voxels"
    )
    if dimensions == 2:
        steps = [("resample_shape", {"shape": [*shape, *rest]})]
    else:
        steps = [
            ("resample_spacing", {"spacing": [round(spacing, 3)] * 3}),
            ("crop_or_pad", {"shape": shape}),
        ]
    return steps, Decision("input shape", f"{_times(shape)} of {spacing:.2f} mm", why)


def _box(
    spacing: float, options: FinetuneOptions, dimensions: int
) -> tuple[list[tuple[str, dict[str, Any]]], Decision]:
    """Cut a box around each place; of an image, a square."""
    # An odd number that a total stride of 8 fits.
    n = 8 * max(2, round(_BOX_MM / spacing / 8)) + 1
    shape = options.shape or (n,) * dimensions
    rest = [None] * (3 - dimensions)
    extent = _times(np.rint(np.array(shape) * spacing))
    why = f"the labels mark regions; {extent} mm around each"
    if options.shape is not None:
        why += ", chosen with --shape"
    return [
        ("resample_spacing", {"spacing": [spacing] * dimensions + rest}),
        ("box", {"shape": [*shape, *rest]}),
    ], Decision("box", f"{_times(shape)} voxels of {spacing:.2f} mm", why)


def _kept(
    axes: Any, dimensions: int
) -> tuple[list[tuple[str, dict[str, Any]]], Decision]:
    """Keep scans that are small and of one shape as they are."""
    shape: list[int | None] = [int(n) for n in axes]
    why = "all scans have this shape, and it is small"
    full = [*shape, *[None] * (3 - dimensions)]
    return [("crop_or_pad", {"shape": full})], Decision(
        "input shape", _times(shape), why
    )


def _of_colors(found: Survey, dimensions: int) -> tuple[str, dict[str, Any], Decision]:
    """Return the scale of colours, the same for red, green and blue."""
    if not found.in_color and (
        found.values.min() < 0 or found.values.max() > WHITE + 0.01
    ):
        return _intensity(found, dimensions)  # grey scans that are taken for colour
    # Of grey scans among colours the display is shown, see `pictures`.
    why = "colours are pictures, made to be looked at as they are"
    decision = Decision("intensity", f"0 to {WHITE}", why)
    return "ct_window", {"low": 0, "high": WHITE}, decision


def _intensity(found: Survey, dimensions: int) -> tuple[str, dict[str, Any], Decision]:
    values = found.values
    if found.are_masks:
        low, high = float(values.min()), float(values.max())
        if high <= low:
            raise PreprocessingError("all voxels of all scans have the same value")
        window = {"low": low, "high": high}
        why = "the scans are masks: they hold two values"
        return "ct_window", window, Decision("intensity", "two values to 0 and 1", why)
    if found.modalities == ("CT",) or (not found.modalities and values.min() < -500):
        low, high = np.percentile(values, (1, 99.5))
        window = {"low": 50 * math.floor(low / 50), "high": 50 * math.ceil(high / 50)}
        why = "CT has a scale of its own; 1st to 99.5th percentile of all scans"
        text = f"{window['low']} to {window['high']} HU"
        return "ct_window", window, Decision("intensity", text, why)
    if dimensions == 2 and _are_pictures(found):
        window = {"low": 0, "high": WHITE}
        why = "the images are pictures of 8 bits, made to be looked at as they are"
        return "ct_window", window, Decision("intensity", f"0 to {WHITE}", why)
    why = "values have no common scale between scanners"
    return (
        "percentile",
        {},
        Decision("intensity", "0.5th to 99.5th percentile of each scan to 0..1", why),
    )


def _are_pictures(found: Survey) -> bool:
    """Tell whether values are grey levels of 8 bits, from black to almost white.

    Of MR and PET even such values mean nothing from one scanner to the next.
    """
    values = found.values
    if set(found.modalities) & {"MR", "PT", "NM"}:
        return False
    whole = bool((values == np.rint(values)).all())
    return whole and values.min() >= 0 and 0.8 * WHITE <= values.max() <= WHITE


def _times(numbers: Any) -> str:
    return " × ".join(f"{int(n)}" for n in numbers)
