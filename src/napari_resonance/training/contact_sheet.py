"""A picture of what the network will see: cases of each label, plain and augmented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.export.atomic import replacing
from napari_resonance.export.scripts import any_script, fonts_for, is_drawable
from napari_resonance.training.augment import Augmentation, generator
from napari_resonance.training.report_figures import short_labels
from napari_resonance.training.samples import Samples

_CASES = 6
_VIEWS = 4


def write_contact_sheet(
    path: Path,
    samples: Samples,
    labels: tuple[str, ...],
    augmentation: Augmentation,
    seed: int = 0,
) -> Path:
    """Write a PNG: a row a case, as it is and as four augmentations show it.

    Volumes are shown by their middle slice. Labels that cannot be drawn have their
    number instead, from 1 on.
    """
    from matplotlib.figure import Figure

    rows = _spread(samples.targets)
    images = samples.images(rows, "cpu")
    views = [images]
    views += [augmentation(images, generator(seed, 0, v, 0)) for v in range(_VIEWS)]
    figure = Figure(figsize=(1.5 * len(views), 1.6 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(views), squeeze=False)
    for n, row in enumerate(rows):
        for column, view in enumerate(views):
            place = axes[n, column]
            _draw(place, view[n].numpy(), images[n].numpy(), augmentation.colors)
            place.set_axis_off()
            if column == 0:
                name = _title(labels, samples.targets[row])
                place.set_title(name, fontsize=8, fontfamily=fonts_for(name))
            elif n == 0:
                place.set_title(f"augmented {column}", fontsize=8)
    with replacing(path) as draft, any_script():
        figure.savefig(draft, dpi=80, format="png")
    return path


def _title(labels: tuple[str, ...], k: int) -> str:
    return short_labels(labels)[k] if is_drawable(labels[k]) else numbered(k)


def numbered(k: int) -> str:
    """Return how a sheet names the label `k` whose signs its font lacks."""
    return f"label {k + 1}"


def _draw(
    place: Any,
    image: NDArray[np.float32],
    plain: NDArray[np.float32],
    colors: tuple[tuple[float, float], ...],
) -> None:
    """Draw the first scan of an input ``(C, *spatial)``, in colour or on a grey scale.

    The scale is that of the input as it is; black and white of `colors` are known.
    """
    planes = image[:, :, :, image.shape[3] // 2] if image.ndim == 4 else image
    if image.ndim == 4:
        planes = planes.transpose(0, 2, 1)[:, ::-1]
    if colors:
        black, white = np.array(colors[:3], np.float32).T[..., None, None]
        rgb = (planes[:3] - black) / white
        place.imshow(np.clip(rgb.transpose(1, 2, 0), 0, 1))
        return
    low, high = float(plain.min()), float(plain.max())
    place.imshow(planes[0], cmap="gray", vmin=low, vmax=max(high, low + 1e-6))


def _spread(targets: np.ndarray) -> np.ndarray:
    labels = np.unique(targets)
    each = max(1, _CASES // len(labels))
    chosen = [np.flatnonzero(targets == label)[:each] for label in labels[:_CASES]]
    return np.concatenate(chosen)
