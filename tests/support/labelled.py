"""A tiny labelled set on disk: volumes of 12³ voxels, some with a bright cube."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np


def write_labelled(
    folder: Path, n: int = 24, *, sides: bool = True, flat: bool = False
) -> Path:
    """Write `n` scans of n / 2 patients, odd ones with a cube; return the table."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(n):
        random = np.random.default_rng(number)
        shape = (12, 12, 1) if flat else (12, 12, 12)
        values = random.normal(100, 20, size=shape)
        label = "cube" if (number // 2) % 2 else "none"
        if label == "cube":
            values[3:9, 3:9, 0 if flat else slice(3, 9)] += 120
        name = f"scan{number:02}.nii.gz"
        image = nibabel.Nifti1Image(values.astype(np.float32), np.diag([2, 2, 2, 1]))
        nibabel.save(image, folder / name)
        side = ("train", "validation", "test")[
            0 if number < n // 2 else 1 + number % 8 // 4
        ]
        rows.append((name, label, f"p{number // 2}", side))
    table = folder / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "patient", *(["split"] if sides else [])))
        writer.writerows(row if sides else row[:3] for row in rows)
    return table
