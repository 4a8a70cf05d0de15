"""A tiny labelled set on disk: volumes of 12³ voxels, some with a bright cube."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np

# Of one brightness (ITU-R BT.601), so that nothing but the hue tells them apart.
_HUES = {"red": (190, 70, 95), "green": (60, 140, 64)}


def colored(
    label: str, seed: int, shape: tuple[int, int, int] = (24, 20, 1)
) -> np.ndarray:
    """Return a picture ``(i, j, k, 3)`` of 8 bits: a texture of one hue, dark edges."""
    random = np.random.default_rng(seed)
    texture = random.uniform(0.4, 1.2, size=(*shape, 1))
    texture[:2] = texture[:, :2] = 0
    return np.rint(texture * _HUES[label]).clip(0, 255).astype(np.uint8)


def save_color(values: np.ndarray, path: Path) -> Path:
    """Write ``(i, j, k, 3)`` as NIfTI RGB."""
    rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    voxels = np.ascontiguousarray(values).view(rgb)[..., 0]
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2, 2, 2, 1])), path)
    return path


def write_colored(
    folder: Path, n: int = 32, *, shape: tuple[int, int, int] = (24, 20, 1)
) -> Path:
    """Write `n` colour scans, which only their hue tells apart; return the table."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["path,label,patient,split"]
    for number in range(n):
        label = ("red", "green")[number % 2]
        name = f"scan{number:02}.nii.gz"
        save_color(colored(label, number, shape), folder / name)
        side = ("train", "train", "validation", "test")[number // 2 % 4]
        rows.append(f"{name},{label},p{number},{side}")
    table = folder / "labels.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


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
