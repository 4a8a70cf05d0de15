"""Make the picture of the saliency page: methods side by side on a sample scan.

python docs/scripts/make_saliency_pictures.py
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_resonance import ExplainOptions, explain, load_classifier, read_scan
from napari_resonance.export.overlay import Overlay, blended, grey_levels
from napari_resonance.export.planes import (
    display_range,
    planes_through,
    sample_saliency,
    sample_scan,
)
from napari_resonance.export.wording import method_name
from napari_resonance.saliency.methods import METHODS
from napari_resonance.samples import sample_path

IMAGES = Path(__file__).parents[1] / "images"
SIDE_PX = 300


def main() -> None:
    """Explain one answer by every method and draw the axial plane of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    options = parser.parse_args()
    scan = read_scan(sample_path("icbm-t1"))
    classifier = load_classifier("mr-sequence")
    columns = 4
    rows = -(-len(options.methods) // columns)
    figure = Figure(figsize=(3 * columns, 3.6 * rows), facecolor="black")
    axes = figure.subplots(rows, columns, squeeze=False)
    for place in axes.ravel():
        place.set_axis_off()
    for place, method in zip(axes.ravel(), options.methods, strict=False):
        found = explain(classifier, scan, ExplainOptions(method, sign="both"))
        saliency = replace(found.saliency, sign="both")
        plane = planes_through(scan, saliency.peak_mm, SIDE_PX)[0]
        values, covered = sample_scan(scan, plane)
        image = grey_levels(
            values, covered, scan, display_range(scan, [values[covered]])
        )
        evidence, seen = sample_saliency(saliency, plane)
        overlay = Overlay.of(saliency)
        if overlay is not None:
            evidence = np.where(seen & covered, evidence, 0).astype(np.float32)
            image = blended(image, evidence, overlay)
        place.imshow(image, interpolation="nearest")
        title = f"{method_name(method)}\n{found.forwards:.0f} forward passes"
        place.set_title(title, color="white", fontsize=10)
    figure.tight_layout()
    figure.savefig(options.out / "saliency-methods.png", dpi=80)


if __name__ == "__main__":
    main()
