"""The words of a picture: answer, probabilities, colour bar, model, notice."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.export.overlay import Overlay, blended
from napari_resonance.export.scripts import fonts_for
from napari_resonance.export.wording import (
    RESEARCH_USE,
    certainty,
    percent,
    place_mm,
    reservations,
    title_of,
    unit_of,
    why_unsure,
)
from napari_resonance.geometry import FloatArray, spacing_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.export.planes import Plane
    from napari_resonance.scan import Scan

BACKGROUND = "#000000"
TEXT = "#f2f2f2"
DIM = "#a8adb3"

# Okabe and Ito's blue-green and orange: told apart with every colour blindness.
_SURE, _UNSURE = "#33c49a", "#f0a928"
HALF_LINE = (0.9, "#ffffff")  # width and colour of the line at half of the top
_BAR, _TRACK = "#7aa6d8", "#26292e"
_MOST_LABELS = 6
_CHARACTER_PX = 7.3  # mean width of a character of small text


@dataclass(frozen=True, eq=False)
class Facts:
    """What the words are about: scan, answer, point shown, scale of the overlay."""

    scan: Scan
    prediction: Prediction
    point_mm: tuple[float, float, float]
    overlay: Overlay | None


def say(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Write plain text at a place of the axes' data; `edge` outlines it in black."""
    from matplotlib.patheffects import withStroke

    edge = style.pop("edge", False)
    plain: dict[str, Any] = {
        "color": TEXT,
        "fontfamily": fonts_for(text),
        "va": "top",
        "parse_math": False,  # a label may hold dollar signs
        "usetex": False,
    }
    drawn = axes.text(x, y, text, **(plain | style))
    if edge:
        drawn.set_path_effects([withStroke(linewidth=2.5, foreground="black")])


def _say_within(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    width: float,
    sizes: Sequence[int],
    *,
    bold: str = "",
) -> None:
    """Write text that is no wider than so many pixels, as large as that allows.

    Where the smallest size is too wide, the middle goes: names of one kind may begin
    alike. `bold` is the colour of bold text.
    """
    style: dict[str, Any] = {"weight": "bold", "color": bold} if bold else {}

    def wide(words: str, size: int) -> float:
        drawn = axes.text(
            0, 0, words, family=fonts_for(words), size=size, parse_math=False, **style
        )
        extent = drawn.get_window_extent().width
        drawn.remove()
        return float(extent)

    size = next((size for size in sizes if wide(text, size) <= width), sizes[-1])
    shown, kept = text, len(text)
    while kept > 1 and wide(shown, size) > width:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    say(axes, *place, shown, size=size, **style)


def draw(axes: Axes, facts: Facts) -> None:
    """Fill axes with the words; their data become pixels from the top left."""
    box = axes.get_window_extent()
    axes.set_xlim(0, box.width)
    axes.set_ylim(box.height, 0)
    y = _answer(axes, facts.prediction)
    y = _bars(axes, y + 18, facts.prediction)
    y = _evidence(axes, y + 18, facts)
    y = _identity(axes, y + 20, facts)
    _warnings(axes, y + 6, facts)


def draw_foot(figure: Figure, size: tuple[int, int], scan_line: str) -> None:
    """Write the lines below: how the picture is turned, and what it is not for."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, size[0])
    axes.set_ylim(size[1], 0)
    how, what = scan_line.split("\n")
    say(axes, 14, size[1] - 42, how, size=9, color=DIM)
    say(axes, 14, size[1] - 24, what, size=9, color=DIM)
    notice: dict[str, Any] = {"size": 10, "weight": "bold", "ha": "right"}
    say(axes, size[0] - 14, size[1] - 25, RESEARCH_USE, **notice)


def describe_scan(scan: Scan, planes: Sequence[Plane]) -> str:
    """Return two lines: how the planes are turned, and what kind of scan it is."""
    how = "Drawn as stored: the file gives no orientation"
    if scan.oriented:
        names = {plane.name.split()[0] for plane in planes}
        side = "anterior" if names == {"sagittal"} else "the patient's right"
        where = "" if len(names) == 1 else " of axial and coronal planes"
        how = f"Radiological convention: {side} is on the left{where}"
    # A single image has no third dimension worth naming.
    n_axes = 2 if scan.grid_shape[2] == 1 else 3
    shape = " × ".join(str(n) for n in scan.grid_shape[:n_axes])
    kind = scan.modality or "modality unknown"
    cells = "pixels" if n_axes == 2 else "voxels"
    return f"{how}\n{kind}, {shape} {cells} of {_sides(scan.affine, n_axes)}"


def _sides(affine: FloatArray, n_axes: int) -> str:
    return " × ".join(f"{mm:.3g}" for mm in spacing_of(affine)[:n_axes]) + " mm"


def _answer(axes: Axes, prediction: Prediction) -> float:
    width = axes.get_xlim()[1]
    # A figure that must not be relied on is not the brightest thing in the picture.
    strong = TEXT if prediction.sure else DIM
    _say_within(axes, (0, 4), prediction.label, width - 190, (26, 19, 14), bold=strong)
    number = percent(prediction.probability)
    say(axes, width, 4, number, size=26, ha="right", color=strong)
    color = _SURE if prediction.sure else _UNSURE
    axes.plot([9], [66], "o" if prediction.sure else "D", color=color, markersize=9)
    say(axes, 26, 57, certainty(prediction), size=14, weight="bold", color=color)
    y = 82.0
    for line in _wrapped(why_unsure(prediction), width - 26)[:3]:
        say(axes, 26, y, line, size=10)
        y += 18
    return y


def _bars(axes: Axes, y: float, prediction: Prediction) -> float:
    shown = list(prediction.probabilities.items())
    if len(shown) > _MOST_LABELS:
        shown = sorted(shown, key=lambda item: -item[1])[:_MOST_LABELS]
    left, right = 150, axes.get_xlim()[1] - 78
    for label, probability in shown:
        _say_within(axes, (0, y), label, left - 8, (11, 9))
        axes.fill_between([left, right], y + 2, y + 15, color=_TRACK, linewidth=0)
        end = left + (right - left) * probability
        axes.fill_between([left, end], y + 2, y + 15, color=_BAR, linewidth=0)
        say(axes, right + 78, y, percent(probability), size=11, ha="right")
        y += 24
    hidden = len(prediction.probabilities) - len(shown)
    if hidden:
        say(axes, left, y, f"and {hidden} more labels", size=9, color=DIM)
        y += 18
    return y


def _evidence(axes: Axes, y: float, facts: Facts) -> float:
    """Draw the colour bar, with the colours as they appear over mid-grey tissue."""
    saliency, overlay = facts.prediction.saliency, facts.overlay
    if saliency is None:
        return y - 18
    width = axes.get_xlim()[1]
    title = f"{title_of(saliency)}, evidence per {unit_of(saliency)}"
    for n, line in enumerate(_wrapped(title, width * 9 / 11)):
        y += 20 if n else 0
        _say_within(axes, (0, y), line, width, (11,))
    if overlay is None:
        nothing = f"no evidence {saliency.claim} anywhere"
        for n, line in enumerate(_wrapped(nothing, width * 9 / 10)):
            y += 18 if n else 0
            say(axes, 0, y + 22, line, size=10, color=DIM)
        return y + 40
    limits = axes.get_xlim(), axes.get_ylim()
    ramp = np.linspace(overlay.bottom, overlay.top, 256, dtype=np.float32)[None]
    grey = np.full((1, 256, 3), 0.45, np.float32)
    image = blended(grey, ramp, overlay)
    axes.imshow(image, extent=(0, width, y + 40, y + 24), aspect="auto")
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    for part, ha in ((0.0, "left"), (0.5, "center"), (1.0, "right")):
        value = f"{overlay.bottom + part * (overlay.top - overlay.bottom):.3g}"
        say(axes, part * width, y + 44, value, size=9, ha=ha, color=DIM)
    thickness, color = HALF_LINE
    halves = (0.25, 0.75) if overlay.bottom < 0 else (0.5,)
    for part in halves:
        axes.vlines(part * width, y + 24, y + 40, linewidth=thickness, color=color)
    return _reservations(axes, y + 64, facts.prediction)


def _reservations(axes: Axes, y: float, prediction: Prediction) -> float:
    """Write how far the map can be believed, where that is known."""
    for text, is_good in reservations(prediction):
        for line in _wrapped(text, axes.get_xlim()[1]):
            say(axes, 0, y, line, size=9, color=_SURE if is_good else _UNSURE)
            y += 16
    return y - 4


def _identity(axes: Axes, y: float, facts: Facts) -> float:
    prediction, saliency = facts.prediction, facts.prediction.saliency
    lines = {"Model": prediction.model, "Weights": prediction.model_sha256[:16]}
    lines["Recipe"] = prediction.recipe_sha256[:16]
    if facts.scan.oriented:
        name = "Centre" if facts.overlay is None else "Peak"
        lines[name] = place_mm(facts.point_mm)
    if saliency is not None:
        flat = saliency.values.shape[2] == facts.scan.grid_shape[2] == 1
        lines[unit_of(saliency).capitalize()] = _sides(
            saliency.affine, 2 if flat else 3
        )
    for name, text in lines.items():
        say(axes, 0, y, name, size=10, color=DIM)
        if name in ("Weights", "Recipe"):
            say(axes, 84, y, text, size=10, fontfamily="DejaVu Sans Mono")
        else:
            _say_within(axes, (84, y), text, axes.get_xlim()[1] - 84, (10,))
        y += 20
    return y


def _warnings(axes: Axes, y: float, facts: Facts) -> None:
    """Write what is odd about the scan, as far as the box reaches."""
    lowest = axes.get_ylim()[0] - 18
    for warning in facts.prediction.warnings:
        lines = _wrapped(f"Note: {warning}", axes.get_xlim()[1])
        if (
            names_a_file(warning, facts.scan, facts.prediction)
            or y + 17 * len(lines) > lowest
        ):
            continue
        for line in lines:
            say(axes, 0, y, line, size=9, color=_UNSURE)
            y += 17


def _wrapped(text: str, width: float) -> list[str]:
    return textwrap.wrap(text, int(width / _CHARACTER_PX))


def names_a_file(text: str, scan: Scan, prediction: Prediction) -> bool:
    """Tell whether a text could give away a patient, whose name may be in a path."""
    paths = (Path(prediction.source), *scan.sources)
    names = {part for path in paths for part in (path.stem, path.parent.name)}
    names |= {scan.study, scan.series}
    return any(re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text) for n in names if n)
