"""MONAI's own command line, run on a bundle."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from napari_resonance.classifier.bundle import INFERENCE
from napari_resonance.classifier.bundle_config import WEIGHTS


def run_monai(
    bundle: Path, scan: str, folder: Path, *more: str, source: str = ""
) -> list[float]:
    """Run ``monai.bundle run`` in a folder; return the probabilities it wrote.

    `source` is what the table has to name, `scan` itself if empty.
    """
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += ["--config_file", str(bundle / INFERENCE)]
    command += ["--weights_file", str(bundle / WEIGHTS), "--scan", scan, *more]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with (folder / "eval" / "predictions.csv").open(newline="") as file:
        *_, (name, *probabilities) = csv.reader(file)
    assert name == (source or scan)
    return [float(p) for p in probabilities]
