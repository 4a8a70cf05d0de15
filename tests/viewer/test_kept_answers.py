"""A scan that is saved keeps its answers, and has them again when it is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.answers import map_with_peak_at, prediction
from support.panels import add_phantom, press_run, wait_idle
from support.phantoms import phantom

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.errors import ReadError
from napari_resonance.export.nifti import write_scan
from napari_resonance.viewer.kept_answers import (
    answers_path,
    load_answers,
    save_answers,
)
from napari_resonance.viewer.records import Run, record_of
from napari_resonance.viewer.viewer_actions import saliency_of


@pytest.fixture
def run() -> Run:
    scan, mm = phantom()
    answer = prediction(
        map_with_peak_at(scan, mm),
        per_slice=np.array([[0.1, 0.5, 0.4], [0.2, 0.3, 0.5]], np.float32),
        warnings=("it is odd",),
        center_mm=(1.0, 2.0, 3.5),
        source="/studies/Doe^Jane/1.dcm",
        channels=("/studies/Doe^Jane/2.dcm",),
    )
    row = {"block": "layer1.0", "stage": "layer1", "share": 0.5, "change": 1.0}
    return Run(answer, "in the middle", "2026-03-01T14:05:33.000", (row,))


def saved(tmp_path: Path, run: Run) -> Path:
    path = tmp_path / "head.nii.gz"
    write_scan(phantom()[0], path)
    save_answers([run], path)
    return path


def test_an_answer_comes_back_whole_but_for_names(tmp_path: Path, run: Run) -> None:
    path = saved(tmp_path, run)
    assert "Doe" not in answers_path(path).read_text()
    (back,) = load_answers(path)
    before, after = run.prediction, back.prediction
    assert (back.ended, back.place, back.residual) == (
        run.ended,
        run.place,
        run.residual,
    )
    assert (after.source, after.channels) == ("", ())
    entries = [answer.to_json() for answer in (before, after)]
    for entry in entries:
        entry.pop("source")
        entry.pop("channels", None)
    assert entries[0] == entries[1]
    assert after.logits == before.logits
    assert np.array_equal(after.per_slice, before.per_slice)
    for name in ("values", "affine"):
        there = getattr(after.saliency, name)
        assert np.array_equal(there, getattr(before.saliency, name))
    assert after.saliency.peak_mm == before.saliency.peak_mm
    assert after.saliency.extent[0] == before.saliency.extent[0]


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("format", "something else"),
        ("answers", [{}]),
        ("answers", 7),
        ("scan_sha256", "00"),
    ],
)
def test_answers_that_do_not_belong_are_refused(
    tmp_path: Path, run: Run, what: str, value: Any
) -> None:
    path = saved(tmp_path, run)
    document = json.loads(answers_path(path).read_text()) | {what: value}
    answers_path(path).write_text(json.dumps(document))
    with pytest.raises(ReadError, match="answers"):
        load_answers(path)


def test_a_map_that_would_fill_the_memory_is_refused(tmp_path: Path, run: Run) -> None:
    path = saved(tmp_path, run)
    document = json.loads(answers_path(path).read_text())
    document["answers"][0]["saliency"]["values"]["shape"] = [1 << 20] * 3
    answers_path(path).write_text(json.dumps(document))
    with pytest.raises(ReadError, match="too large"):
        load_answers(path)
    document["answers"][0]["saliency"]["values"]["shape"] = [2, 2, 2]
    answers_path(path).write_text(json.dumps(document))
    with pytest.raises(ReadError, match="cannot be read"):
        load_answers(path)


def test_saving_without_answers_leaves_none_of_another_scan(
    tmp_path: Path, run: Run
) -> None:
    path = saved(tmp_path, run)
    assert save_answers([], path) is None
    assert load_answers(path) == ()
    assert not answers_path(path).exists()


def test_answers_are_listed_in_the_next_session(
    viewer: Any, panel: Any, qtbot: Any, bundle: Path, tmp_path: Path
) -> None:
    image = add_phantom(viewer)
    panel.model_picker.add_model(load_bundle(bundle))
    press_run(panel)
    wait_idle(panel, qtbot)
    before = record_of(image).prediction
    image.save(str(tmp_path / "kept.nii.gz"))
    viewer.layers.clear()
    assert panel.answers.list.runs() == []
    panel.open_paths([tmp_path / "kept.nii.gz"])
    wait_idle(panel, qtbot)
    ((layer, run),) = panel.answers.list.runs()
    assert run.prediction.probabilities == before.probabilities
    assert panel.view.result.label.text().startswith(before.label)
    # Its map is drawn again, at its place.
    assert saliency_of(viewer, layer) is None
    panel.answers.list.wanted.emit(layer, run)
    wait_idle(panel, qtbot)
    assert saliency_of(viewer, layer) is not None
    assert np.allclose(
        record_of(layer).prediction.saliency.affine, before.saliency.affine
    )
