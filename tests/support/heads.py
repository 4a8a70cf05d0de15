"""Real heads made small: every few voxels of the reference scans, at their place."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np

STEP = 6
LABELS = ("T1w", "T2w")


def small_heads(shared_data: Path, folder: Path, n_patients: int = 4) -> Path:
    """Write T1w and T2w scans of some patients and their table; return the table."""
    source = shared_data / "mr_sequence"
    with (source / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    chosen: dict[tuple[str, str], str] = {}
    for row in rows:
        if row["label"] in LABELS:
            chosen.setdefault((row["patient"], row["label"]), row["path"])
    patients = [
        p
        for p in dict.fromkeys(row["patient"] for row in rows)
        if all((p, label) in chosen for label in LABELS)
    ][:n_patients]
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["path,label,patient"]
    for number, patient in enumerate(patients):
        for label in LABELS:
            name = f"{number}-{label}.nii.gz"
            _thin_out(source / chosen[patient, label], folder / name)
            lines.append(f"{name},{label},patient {number}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "labels.csv"


def _thin_out(source: Path, target: Path) -> None:
    image = nibabel.load(source)
    steps = [STEP if n > 60 else 2 for n in image.shape[:3]]
    values = np.asarray(image.dataobj[tuple(slice(None, None, s) for s in steps)])
    affine = image.affine @ np.diag([*steps, 1])
    nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), affine), target)
