"""How fast a large series scrolls in napari: read plane by plane, against read at once.

A CT series of 300 slices of 512² is opened and every slice drawn, in a real window; the
time counts from the start of reading to the last slice drawn, so that the ratio is that
of throughputs. On Linux without a screen::

    xvfb-run -a -s "-screen 0 1920x1080x24" python benchmarks/scrolling.py [--runs 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication
from reading import _write_series

from napari_resonance import read_scans


def main() -> None:
    """Print the ratio of the best times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    viewer = napari.Viewer(show=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_series(folder, 300, 512)
        _seconds(viewer, folder, None)  # the first drawing sets much up
        both = [
            (_seconds(viewer, folder, None), _seconds(viewer, folder, 0))
            for _ in range(options.runs)
        ]
    at_once, lazily = (min(times) for times in zip(*both, strict=True))
    print(f"throughput, plane by plane / at once: {at_once / lazily:.2f}")
    viewer.close()


def _seconds(viewer: napari.Viewer, folder: Path, lazy_over: int | None) -> float:
    viewer.layers.clear()
    start = time.perf_counter()
    (scan,) = read_scans(folder, lazy_over=lazy_over)
    viewer.add_image(scan.voxels.T, contrast_limits=(-1000, 1000))
    for k in range(scan.shape[2]):
        viewer.dims.set_point(0, k)
        QApplication.processEvents()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
