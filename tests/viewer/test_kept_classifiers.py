"""Classifiers are kept by what they hold, not by where they lie."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.bundles import tiny_bundle
from support.phantoms import phantom

from napari_resonance.progress import never, no_progress
from napari_resonance.viewer.classification import ClassifyOptions, classify
from napari_resonance.viewer.kept_classifiers import kept_classifier


def test_the_same_one_is_kept_and_few_of_them(tmp_path: Path) -> None:
    folders = [tiny_bundle(tmp_path / n, labels=(n, "no")) for n in ("a", "b", "c")]
    first = kept_classifier(folders[0], "cpu")
    assert kept_classifier(folders[0], "cpu") is first
    for folder in folders[1:]:
        assert kept_classifier(folder, "cpu") is not first
    assert kept_classifier(folders[0], "cpu") is not first


def test_a_model_trained_again_into_its_folder_answers(tmp_path: Path) -> None:
    scan, _ = phantom()

    def ask(asked: object = None) -> object:
        options = ClassifyOptions(
            lambda: scan, scan_is_new=False, model=tmp_path / "m", asked=asked
        )
        return classify(options, no_progress, never)

    tiny_bundle(tmp_path / "m", labels=("a", "b"))
    before = ask()
    # A further map of the same answer does not ask the network again.
    assert ask(before.asked).asked is before.asked
    shutil.rmtree(tmp_path / "m")
    tiny_bundle(tmp_path / "m", labels=("x", "y"))
    after = ask(before.asked)
    assert after.asked is not before.asked
    assert set(after.prediction.probabilities) == {"x", "y"}
