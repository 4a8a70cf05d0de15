"""A handful of synthetic heads with three contrasts, as files and as boxes."""

import csv

import nibabel as nib
import numpy as np
import pytest

from napari_resonance.preprocessing import Recipe
from napari_resonance.training.labels import read_labels
from napari_resonance.training.mr_sequence.heads import prepare_heads

LABELS = ("T1w", "T2w", "FLAIR")
# Brightness of white matter, grey matter, fluid and scalp.
CONTRASTS = {
    "T1w": (1.0, 0.65, 0.2, 1.1),
    "T2w": (0.35, 0.6, 1.0, 0.5),
    "FLAIR": (0.65, 0.9, 0.2, 0.5),
}
RECIPE = Recipe.from_json(
    {
        "dimensions": 3,
        "steps": [
            {"step": "orient", "code": "RAS"},
            {"step": "resample_spacing", "spacing": [6.0, 6.0, 6.0]},
            {"step": "head_crop", "shape": [33, 33, 17]},
            {"step": "rank"},
        ],
    }
)


def head(contrast, seed):
    """Shells of scalp, fluid, grey and white matter with ventricles, 5 mm voxels."""
    random = np.random.default_rng(seed)
    points = (np.moveaxis(np.indices((40, 46, 40)), 0, -1) - [20, 23, 18]) * 5.0
    radius = np.linalg.norm(
        points / (random.uniform(0.95, 1.05, 3) * [70, 85, 75]), axis=-1
    )
    white, grey, fluid, scalp = CONTRASTS[contrast]
    image = np.zeros(radius.shape)
    for limit, value in [
        (1, scalp),
        (0.9, fluid),
        (0.84, grey),
        (0.66, white),
        (0.2, fluid),
    ]:
        image[radius < limit] = value
    noisy = np.abs(image + random.normal(0, 0.02, image.shape)) * 800
    return noisy.astype(np.int16)


@pytest.fixture(scope="session")
def label_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    rows = []
    for patient, site in (("a", "north"), ("b", "north"), ("c", "south")):
        for n, label in enumerate(LABELS):
            name = f"{patient}_{label}.nii.gz"
            image = nib.Nifti1Image(
                head(label, ord(patient) + n), np.diag([5, 5, 5, 1])
            )
            nib.save(image, folder / name)
            rows.append(
                {"path": name, "label": label, "patient": patient, "site": site}
            )
    path = folder / "labels.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def heads(label_file):
    return prepare_heads(read_labels(label_file).cases, RECIPE, LABELS)
