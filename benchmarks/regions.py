"""How fast one region of a large CT is prepared: only that region is interpolated.

A CT of 512 × 512 × 300 voxels in memory is brought to 1 mm with anti-aliasing off, as
MONAI does it, and 48³ voxels around a place are cut out. Ours is compared with MONAI's
``Orientation``, ``Spacing``, ``SpatialCrop`` in the same order, and with ours where all
of the scan is prepared first::

    python benchmarks/regions.py [--runs 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Orientation, Spacing, SpatialCrop

from napari_resonance.geometry import to_index
from napari_resonance.preprocessing import Recipe
from napari_resonance.scan import Scan

SIZE = 48
GRID = [
    {"step": "orient", "code": "RAS"},
    {"step": "resample_spacing", "spacing": [1.0, 1.0, 1.0], "antialias": False},
]
BOX = {"step": "box", "shape": [SIZE] * 3}
# A step that does nothing, but is not known to do the same to a part.
WHOLE = {"step": "crop_or_pad", "shape": [None] * 3}


def main() -> None:
    """Print the ratios of the best times, and how far the values are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    # Blocks of noise: what is sampled half a voxel off differs.
    coarse = np.random.default_rng(0).integers(-1000, 1000, (65, 65, 39))
    voxels = np.kron(coarse, np.ones((8, 8, 8)))[:512, :512, :300]
    scan = Scan(
        np.asfortranarray(voxels.astype(np.int16)),
        np.diag([0.7, 0.7, 1.1, 1.0]),
        modality="CT",
    )
    place = (180.0, 175.0, 160.0)
    recipe, whole = (
        Recipe.from_json({"dimensions": 3, "steps": steps})
        for steps in ([*GRID, BOX], [*GRID, WHOLE, BOX])
    )
    ours, region = _best(lambda: recipe.apply(scan, place), runs)
    all_of_it, same = _best(lambda: whole.apply(scan, place), runs)
    monai, theirs = _best(lambda: _by_monai(scan, region), runs)
    apart = np.abs(region.array[0, 0] - theirs).max()
    print(f"MONAI / ours: {monai / ours:.0f}")
    print(f"whole scan first / ours: {all_of_it / ours:.0f}")
    print(f"apart from MONAI: {apart:.3g} HU; from the whole scan: ", end="")
    print(f"{np.abs(region.array - same.array).max():.3g} HU")


def _by_monai(scan: Scan, region: Any) -> Any:
    image = MetaTensor(
        torch.from_numpy(scan.values())[None], affine=torch.from_numpy(scan.affine)
    )
    labels = (("L", "R"), ("P", "A"), ("I", "S"))
    prepared = Compose(
        [
            Orientation(axcodes="RAS", labels=labels),
            Spacing(pixdim=(1.0, 1.0, 1.0), padding_mode="border"),
        ]
    )(image)
    # The same voxels: the crop's first is that of our region.
    first = to_index(prepared.affine.numpy(), region.grid.affine[:3, 3])
    start = np.rint(first).astype(int).tolist()
    end = [n + SIZE for n in start]
    return SpatialCrop(roi_start=start, roi_end=end)(prepared)[0].numpy()


def _best(work: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """Return the shortest time in seconds, and what came of it."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begun)
    return min(times), result


if __name__ == "__main__":
    main()
