"""A stub to score with."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_resonance.classifier.prediction import Prediction
from napari_resonance.classifier.stages import Answer, PreparedCase
from napari_resonance.errors import UnsuitableScanError
from napari_resonance.geometry import Grid
from napari_resonance.preprocessing import NetworkInput
from napari_resonance.scan import source_of

LABELS = ("dark", "bright")
DEADLY = -66.0  # a mean value that ends the process that prepares it
ENDLESS = -77.0  # one over which preparing does not end
SLOW = 44.0  # one that takes its time
TRACE = "RESONANCE_TRACE"  # variable with the file that shows how far it came


@dataclass(frozen=True)
class StubScorer:
    """Says of a scan whether it is bright, from its mean value between 0 and 100."""

    name: str = "stub"
    sha256: str = "stub-1"
    labels: tuple[str, ...] = LABELS
    point: float | None = None

    def prepare(self, scan, *, center_mm=None, force=False):
        mean = float(scan.values().mean())
        if mean == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        if mean == ENDLESS:
            leave_mark()
            time.sleep(600)
        if mean == SLOW:
            time.sleep(1)
        if mean < 0 and not force:
            raise UnsuitableScanError("it is negative", remedy="Leave it out")
        array = np.full((1, 1, 2, 2, 2), mean, np.float32)
        return PreparedCase(
            scan,
            NetworkInput(array, Grid((2, 2, 2), scan.affine)),
            "recipe",
            (),
            center_mm=center_mm,
        )

    def run(self, array):
        means = array.mean(axis=(1, 2, 3, 4))
        logits = np.stack([100 - means, means], axis=1).astype(np.float32)
        return Answer(logits, np.zeros((len(array), 1, 1, 1, 1), np.float32))

    def judge(self, case, answer):
        dark, bright = (float(v) / 100 for v in answer.logits[0])
        best = int(bright > dark)
        return Prediction(
            label=LABELS[best],
            probability=max(dark, bright),
            probabilities={"dark": dark, "bright": bright},
            logits=tuple(map(float, answer.logits[0])),
            sure=True,
            prediction_set=None,
            out_of_distribution=None,
            warnings=case.warnings,
            seconds=0.0,
            source=source_of(case.scan),
            model=self.name,
            model_sha256=self.sha256,
            recipe_sha256=case.recipe_sha256,
            center_mm=case.center_mm,
            threshold=self.point,
        )


def load(name, device):
    """Return the stub; its hash is its name, so that another name is another model."""
    return StubScorer(name, name)


def load_with_point(name, device):
    """Load a stub that calls a scan bright from 30 % on."""
    return StubScorer(name, f"{name} with a point", point=0.3)


def leave_mark():
    """Show another process that this one came so far, if it is to."""
    if TRACE in os.environ:
        Path(os.environ[TRACE]).touch()


def slow_load(name, device):
    """Load the stub in a process that takes its time to start, and leave a mark."""
    time.sleep(1)
    leave_mark()
    return StubScorer(name, name)


def write_scan(path, mean):
    """Write a small NIfTI file of one value but for two voxels."""
    import nibabel as nib

    values = np.full((3, 4, 5), mean, np.float32)
    values[0, 0, 0] += 1
    values[1, 1, 1] -= 1
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    return path


def run(studies, out, **options):
    """Score a folder with the stub."""
    from napari_resonance.scoring.options import ScoreOptions
    from napari_resonance.scoring.run import score

    chosen = ScoreOptions(**{"readers": 0} | options)
    return score(studies, "stub", out=out, options=chosen, load=load)


def started(studies, out, **options):
    """Begin to score in a child process; return its id."""
    child = os.fork()
    if child == 0:
        try:
            run(studies, out, **options)
        finally:
            os._exit(0)
    return child
