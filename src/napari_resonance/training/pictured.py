"""Pictures of the worst errors: the scan, and where the network looked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.errors import CancelledError, ResonanceError
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.training.one_case import scans_of

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.training.cases import Case
    from napari_resonance.training.evaluation import Wrong


def pictured(
    worst: Sequence[Wrong],
    classifier: Classifier,
    cases: Sequence[Case],
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> tuple[Wrong, ...]:
    """Return errors with a picture each: the saliency for what was answered.

    Parameters
    ----------
    worst
        Errors, whose numbers count the cases from 1.
    classifier
        Which made them.
    cases
        All that it was judged by. A scan that can be read no more gets no picture.
    progress, should_stop
        Told before each picture; asked before each.

    Raises
    ------
    CancelledError
        If `should_stop` said so.

    """
    result = []
    for number, wrong in enumerate(worst, 1):
        progress(number, len(worst), f"explaining error {number} of {len(worst)}")
        if should_stop():
            raise CancelledError("the evaluation was stopped")
        picture = _picture(classifier, cases[wrong.case - 1])
        result.append(replace(wrong, picture=picture))
    return tuple(result)


def _picture(classifier: Classifier, case: Case) -> bytes | None:
    """Return a PNG with the saliency for what was answered, None if that fails."""
    from napari_resonance.export.picture import write_picture

    try:
        scans = scans_of(case)
        answer = classifier.classify(
            scans, saliency="gradcam", center_mm=case.center_mm
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.png"
            write_picture(scans[0], replace(answer, warnings=()), path)
            return path.read_bytes()
    except ResonanceError:
        return None
