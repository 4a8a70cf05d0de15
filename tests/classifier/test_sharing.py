"""A model passed on: it answers alike, and names nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.bundles import tiny_bundle

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.classifier.sharing import FINGERPRINTS, share
from napari_resonance.errors import ModelError
from napari_resonance.training.seen_before import read_fingerprints, write_fingerprints

NAME = "Kowalczyk"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model that keeps a record of its training."""
    folder = tiny_bundle(tmp_path / "m")
    record = folder / "training"
    record.mkdir()
    for name in ("split.json", "answers.csv", "record.json", "report.html"):
        (record / name).write_text(f"scans/{NAME}/head.nii.gz")
    (folder / f"{NAME}.txt").write_text("mine")
    write_fingerprints(folder, np.ones((3, 4097), np.int8))
    return folder


def test_the_copy_is_the_model_without_its_record(model: Path, tmp_path: Path) -> None:
    shared = share(load_bundle(model), tmp_path / "out")
    assert shared.bundle.sha256 == load_bundle(model).sha256
    assert shared.bundle.warnings == ()
    there = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    names = {p.relative_to(tmp_path / "out").as_posix() for p in there}
    assert names == set(shared.files)
    assert not any(NAME in name for name in names)
    assert not any(NAME.encode() in p.read_bytes() for p in there)
    assert shared.left_out == (
        f"{NAME}.txt",
        *(f"training/{n}" for n in ("answers.csv", "record.json")),
        *(f"training/{n}" for n in ("report.html", "split.json")),
    )
    # Copies of training scans are still known.
    assert FINGERPRINTS in shared.files
    found = read_fingerprints(tmp_path / "out")
    assert found is not None
    assert found.shape == (3, 4097)


def test_nothing_is_replaced_unasked(model: Path, tmp_path: Path) -> None:
    bundle = load_bundle(model)
    with pytest.raises(ModelError, match="onto itself"):
        share(bundle, model, overwrite=True)
    there = tiny_bundle(tmp_path / "there", dimensions=2)
    with pytest.raises(ModelError, match="here already: tiny"):
        share(bundle, there)
    assert load_bundle(there).card.dimensions == 2
    assert share(bundle, there, overwrite=True).bundle.card.dimensions == 3
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="something else"):
        share(bundle, tmp_path / "file", overwrite=True)
    with pytest.raises(ModelError, match="cannot be written"):
        share(bundle, tmp_path / "file" / "m")
