"""The stages of a classification, one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.phantoms import phantom

from napari_resonance.classifier.predict import load_classifier
from napari_resonance.classifier.stages import Answer
from napari_resonance.errors import UnsuitableScanError


def test_the_stages_one_by_one_give_what_classify_gives(saved: Path):
    classifier = load_classifier(saved)
    scan = phantom("oblique")[0]
    case = classifier.prepare(scan)
    prediction = classifier.judge(case, classifier.run(case.network_input.array))
    whole = classifier.classify(scan)
    assert prediction.logits == whole.logits
    assert prediction.warnings == whole.warnings
    assert prediction.recipe_sha256 == whole.recipe_sha256


def test_cases_that_are_run_together_are_answered_as_alone(saved: Path):
    classifier = load_classifier(saved)
    cases = [classifier.prepare(phantom(name)[0]) for name in ("oblique", "flipped")]
    arrays = [case.network_input.array for case in cases]
    together = classifier.run(np.concatenate(arrays))
    for n, (case, array) in enumerate(zip(cases, arrays, strict=True)):
        row = Answer(together.logits[n : n + 1], together.features[n : n + 1])
        alone = classifier.judge(case, classifier.run(array))
        found = classifier.judge(case, row)
        assert found.logits == pytest.approx(alone.logits, abs=1e-4)


def test_preparing_refuses_what_classify_refuses(saved: Path):
    classifier = load_classifier(saved)
    with pytest.raises(UnsuitableScanError, match="was made for MR"):
        classifier.prepare(phantom("oblique", modality="CT")[0])
