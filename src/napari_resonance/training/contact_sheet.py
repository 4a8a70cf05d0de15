"""A picture of what the network will see: cases of each label, plain and augmented."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_resonance.export.atomic import replacing
from napari_resonance.training.augment import Augmentation, generator
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

    Volumes are shown by their middle slice.
    """
    from matplotlib.figure import Figure

    rows = _spread(samples.targets)
    images = samples.images(rows, "cpu")
    views = [images]
    views += [augmentation(images, generator(seed, 0, v, 0)) for v in range(_VIEWS)]
    figure = Figure(figsize=(1.5 * len(views), 1.6 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(views), squeeze=False)
    for n, row in enumerate(rows):
        low, high = float(images[n].min()), float(images[n].max())
        for column, view in enumerate(views):
            plane = view[n, 0].numpy()
            if plane.ndim == 3:
                plane = plane[:, :, plane.shape[2] // 2].T[::-1]
            place = axes[n, column]
            place.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
            place.set_axis_off()
            if column == 0:
                place.set_title(labels[samples.targets[row]], fontsize=8)
            elif n == 0:
                place.set_title(f"augmented {column}", fontsize=8)
    with replacing(path) as draft:
        figure.savefig(draft, dpi=80, format="png")
    return path


def _spread(targets: np.ndarray) -> np.ndarray:
    labels = np.unique(targets)
    each = max(1, _CASES // len(labels))
    chosen = [np.flatnonzero(targets == label)[:each] for label in labels[:_CASES]]
    return np.concatenate(chosen)
