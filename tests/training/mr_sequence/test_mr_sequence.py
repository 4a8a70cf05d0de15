"""The command that made the embedded classifier, from labels to bundle."""

import argparse
import io

import pytest
from rich.console import Console

from napari_resonance import load_classifier, read_scan
from napari_resonance.training.mr_sequence.make import train_mr_sequence

# Lightning 2.6 meets torch 2.13's renamed tree specs.
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")


def test_from_labels_to_a_bundle_and_again_without_training_folds_twice(
    label_file, tmp_path
):
    options = argparse.Namespace(
        labels=label_file,
        out=tmp_path / "model",
        work=tmp_path / "folds",
        steps=2,
        fold_steps=2,
        seeds=1,
        jobs=1,
    )
    log = io.StringIO()
    performance = train_mr_sequence(options, Console(file=log))
    assert log.getvalue().count("trained") == 5
    assert set(performance["accuracy_left_out_patient_as_acquired"]) == {
        "value",
        "low",
        "high",
    }
    classifier = load_classifier(options.out)
    scan = read_scan(label_file.parent / "a_T1w.nii.gz")
    prediction = classifier.classify(scan, saliency="gradcam")
    assert set(prediction.probabilities) == {"T1w", "T2w", "FLAIR"}
    assert prediction.out_of_distribution is not None
    stored = sorted(f.stat().st_mtime_ns for f in options.work.iterdir())
    train_mr_sequence(options, Console(file=io.StringIO()))
    assert sorted(f.stat().st_mtime_ns for f in options.work.iterdir()) == stored
