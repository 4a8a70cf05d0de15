"""Small labelled sets of synthetic scans, as files."""

import nibabel as nib
import numpy as np
import pytest


def scan_file(path, values, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def blobs(seed, shape=(20, 24, 16), n=12):
    """A body with lumps at random places."""
    random = np.random.default_rng(seed)
    points = np.moveaxis(np.indices(shape), 0, -1) / (np.array(shape) - 1) * 2 - 1
    image = 400.0 * (np.linalg.norm(points, axis=-1) < 0.9)
    for _ in range(n):
        center, size = random.uniform(-0.6, 0.6, 3), random.uniform(0.1, 0.25)
        near = np.exp(-((np.linalg.norm(points - center, axis=-1) / size) ** 2))
        image += random.uniform(-300, 500) * near
    return (image + random.normal(0, 8, shape)).clip(0).astype(np.int16)


@pytest.fixture
def write_labels(tmp_path):
    """Write a table, and an empty file for every path in it."""

    def write(text, *files, encoding="utf-8"):
        for file in files:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
        return tmp_path / "labels.csv"

    return write
