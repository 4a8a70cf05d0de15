"""How long a user waits for the first answer: our command line against MONAI's.

Both are whole processes on the same bundle, the same scan and the CPU, one after the
other in turn; the converted network lies in the cache, as it does from the second time
on. Prints the median of each, their ratio, and how far the probabilities differ.

    python benchmarks/first_prediction.py
    python benchmarks/first_prediction.py --model BUNDLE --scan SCAN --runs 9
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.samples import sample_path

TARGET = 3.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mr-sequence", help="a name or a folder")
    parser.add_argument("--scan", type=Path, help="default: the sample icbm-t1")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    bundle = load_bundle(options.model).path.resolve()
    scan = (options.scan or sample_path("icbm-t1")).resolve()
    ours: list[float] = []
    theirs: list[float] = []
    difference = 0.0
    with tempfile.TemporaryDirectory() as folder:
        _ours(bundle, scan)  # fills the cache, and the disk cache of both
        _theirs(bundle, scan, Path(folder))
        for _ in range(options.runs):
            seconds, probabilities = _ours(bundle, scan)
            ours.append(seconds)
            seconds, expected = _theirs(bundle, scan, Path(folder))
            theirs.append(seconds)
            pairs = zip(probabilities, expected, strict=True)
            difference = max(difference, *(abs(a - b) for a, b in pairs))
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(f"resonance classify: {_summary(ours)}")
    print(f"monai.bundle run:   {_summary(theirs)}")
    print(f"ratio: {ratio:.1f} (target: at least {TARGET:.0f})")
    print(f"largest difference of a probability: {difference:.1e}")


def _ours(bundle: Path, scan: Path) -> tuple[float, list[float]]:
    command = [sys.executable, "-m", "napari_resonance", "classify", str(scan)]
    command += ["--model", str(bundle), "--device", "cpu", "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    (result,) = json.loads(done.stdout)["results"]
    return seconds, list(result["probabilities"].values())


def _theirs(bundle: Path, scan: Path, folder: Path) -> tuple[float, list[float]]:
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += ["--config_file", str(bundle / "configs" / "inference.json")]
    command += ["--weights_file", str(bundle / "models" / "model.safetensors")]
    command += ["--scan", str(scan), "--output_dir", str(folder)]
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True, cwd=folder)
    seconds = time.perf_counter() - started
    with (folder / "predictions.csv").open(newline="") as file:
        ((_, *probabilities),) = csv.reader(file)
    return seconds, [float(p) for p in probabilities]


def _summary(seconds: list[float]) -> str:
    low, high = min(seconds), max(seconds)
    median = statistics.median(seconds)
    return f"median {median:.2f} s ({low:.2f} to {high:.2f}, {len(seconds)} runs)"


if __name__ == "__main__":
    main()
