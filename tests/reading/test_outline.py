"""What is said of a scan from its header is what reading it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from support.dicom_files import plane, save
from support.phantoms import phantom, write_nifti

from napari_resonance.reading import outline_scans, read_scans
from napari_resonance.reading.outline import Outline, outline_of
from napari_resonance.samples import sample_path

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"


def facts(outline: Outline) -> tuple[Any, ...]:
    return (
        outline.shape,
        np.round(outline.affine, 9).tolist(),
        outline.modality,
        outline.color,
        outline.oriented,
        outline.study,
        outline.series,
        outline.sources,
        dict(outline.meta),
        outline.warnings,
        outline.n_bytes,
        outline.spacing,
        outline.orientation,
    )


def assert_same(folder: Path) -> None:
    damaged: set[Path] = set()

    def skip(path: Path, reason: str) -> None:
        if reason.startswith("its pixels") or "decoder" in reason:
            damaged.add(path)

    read = {s.sources: facts(outline_of(s)) for s in read_scans(folder, on_skip=skip)}
    told = [o for o in outline_scans(folder) if damaged.isdisjoint(o.sources)]
    assert read
    assert {o.sources: facts(o) for o in told} == {
        sources: f for sources, f in read.items() if damaged.isdisjoint(sources)
    }


def test_of_many_kinds_of_dicom_files() -> None:
    assert_same(TEST_FILES)


def test_of_real_series_and_a_mosaic(shared_data: Path) -> None:
    for folder in ("dual_echo", "enhanced_xa60"):
        assert_same(shared_data / "dicom_reference" / folder)
    assert_same(shared_data / "ct_dicom")
    assert_same(sample_path("oblique-pd"))


def test_of_nifti(tmp_path: Path) -> None:
    scan, _ = phantom("sheared")
    write_nifti(scan, tmp_path / "a.nii.gz")
    assert_same(tmp_path)


def test_pixels_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        save(plane(n, (0, 0, 2 * n)), tmp_path / f"{n}.dcm")
    monkeypatch.setattr("napari_resonance.reading.dicom._loaded", None)
    assert [o.shape for o in outline_scans(tmp_path)] == [(7, 5, 3)]
    with pytest.raises(TypeError):
        read_scans(tmp_path)
