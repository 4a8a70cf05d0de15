"""What speaks for one label rather than for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.bundles import spot_bundle
from support.phantoms import phantom

from napari_resonance.classifier.predict import load_classifier
from napari_resonance.errors import ResonanceError


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_contrast_is_the_difference_of_evidence(tmp_path: Path, dimensions: int):
    finder = load_classifier(spot_bundle(tmp_path / "b", dimensions=dimensions))
    scan, bright_mm = phantom("oblique")
    ask = {"saliency": "gradcam", "target": "spot", "against": "nothing"}
    answer = finder.classify(scan, **ask)
    contrast = answer.saliency
    assert contrast is not None
    assert contrast.target == "spot rather than nothing"
    offset = np.linalg.inv(contrast.affine[:3, :3]) @ (contrast.peak_mm - bright_mm)
    assert np.abs(offset).max() <= 0.5 + 1e-6
    with pytest.raises(ResonanceError, match="with itself"):
        finder.classify(scan, saliency="gradcam", target="spot", against="spot")
    with pytest.raises(ResonanceError, match="no label"):
        finder.classify(scan, saliency="gradcam", against="cat")
    default = finder.classify(scan, saliency="gradcam", against=answer.label).saliency
    assert default is not None
    assert not default.target.startswith(answer.label)
