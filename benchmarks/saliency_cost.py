"""What a Grad-CAM costs on top of a prediction: ours against MONAI's.

Ours is measured as a user has it, a whole `classify` with and without the map, on
OpenVINO and on torch. MONAI's `GradCAM` is measured against a forward pass of the same
network in torch. All medians of runs taken in turn, on the CPU. Memory is the most that
a process of its own ever held, which does nothing but load the classifier and ask once.

    python benchmarks/saliency_cost.py
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.visualize import GradCAM

from napari_resonance import Scan
from napari_resonance.classifier.bundle import Bundle, save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.classifier.engines import TorchEngine, load_network
from napari_resonance.classifier.network import build_network
from napari_resonance.classifier.predict import Classifier
from napari_resonance.preprocessing import Recipe

TARGET = 1.1
MEMORY_TARGET = 1.3
# Prints the most memory that was held, in MB. (Linux only: what getrusage says of a new
# process begins with what its parent held.)
_ASK = """
import sys
import numpy as np
from napari_resonance import Scan, load_classifier
folder, engine, saliency, *shape = sys.argv[1:]
classifier = load_classifier(folder, "cpu")
if engine == "torch":
    from napari_resonance.classifier.engines import TorchEngine
    classifier._engine = TorchEngine(classifier.bundle, "cpu")
voxels = np.random.default_rng(0).integers(0, 1000, [int(n) for n in shape])
scan = Scan(voxels.astype(np.int16), np.eye(4))
classifier.classify(scan, saliency=saliency or None)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) / 1024)
"""
# Name: definition, voxels of the scan (its slices are the images of a 2D network).
CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "2D, ResNet-18, one image of 224²": (
        {"depth": 18, "dimensions": 2, "conv1_t_stride": 2},
        (224, 224, 1),
    ),
    "2D, ResNet-50, four slices of 224²": (
        {"depth": 50, "dimensions": 2, "conv1_t_stride": 2},
        (224, 224, 4),
    ),
    "3D, ResNet-18, 64×96×96": (
        {"depth": 18, "dimensions": 3, "conv1_t_stride": 2},
        (64, 96, 96),
    ),
    "3D, ResNet-10, widths 16-128, 49×57×33": (
        {
            "depth": 10,
            "dimensions": 3,
            "widths": (16, 32, 64, 128),
            "conv1_t_size": 3,
            "no_max_pool": True,
        },
        (49, 57, 33),
    ),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--memory", action="store_true", help="nothing else")
    parser.add_argument("--only", default="", help="cases whose name begins so")
    options = parser.parse_args()
    runs = options.runs
    print(f"ours: target at most {TARGET} × the prediction alone")
    for name, (settings, shape) in CASES.items():
        if not name.startswith(options.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            bundle = _bundle(Path(folder) / "bundle", settings)
            scan = _scan(shape)
            print(name)
            if not options.memory:
                for classifier in _classifiers(bundle):
                    print(f"  ours, {_ours(classifier, scan, runs)}")
                print(f"  MONAI, {_theirs(bundle, scan, runs)}")
            for engine in ("openvino", "torch"):
                print(f"  ours, {engine}: {_memory(bundle.path, engine, shape)}")


def _bundle(folder: Path, settings: dict[str, Any]) -> Bundle:
    torch.manual_seed(0)
    dimensions = settings["dimensions"]
    definition = resnet_definition(**settings, n_labels=3)
    card = ModelCard("random", "0", "none", ("a", "b", "c"), dimensions)
    steps = [{"step": "zscore"}]
    return save_bundle(
        folder,
        network=build_network(definition),
        network_def=definition,
        recipe=Recipe.from_json({"dimensions": dimensions, "steps": steps}),
        calibration=Calibration(),
        card=card,
        convert=True,
    )


def _scan(shape: tuple[int, int, int]) -> Scan:
    voxels = np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16)
    return Scan(voxels, np.eye(4))


def _classifiers(bundle: Bundle) -> list[Classifier]:
    fast, plain = Classifier(bundle, "cpu"), Classifier(bundle, "cpu")
    plain._engine = TorchEngine(bundle, "cpu")
    return [fast, plain]


def _ours(classifier: Classifier, scan: Scan, runs: int) -> str:
    alone, both = _in_turn(
        runs,
        lambda: classifier.classify(scan),
        lambda: classifier.classify(scan, saliency="gradcam"),
    )
    return f"{classifier.device}: {_ratio(both, alone, 'prediction')}"


def _memory(folder: Path, engine: str, shape: tuple[int, int, int]) -> str:
    """Return the most memory held with a map against without, each in a new process."""
    alone, both = (
        float(
            subprocess.run(
                [sys.executable, "-c", _ASK, folder, engine, method, *map(str, shape)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for method in ("", "gradcam")
    )
    verdict = "reached" if both / alone <= MEMORY_TARGET else "missed"
    return (
        f"{both / alone:.2f} × the memory of the prediction ({both:.0f} MB, "
        f"{alone:.0f} MB; target {MEMORY_TARGET}: {verdict})"
    )


def _theirs(bundle: Bundle, scan: Scan, runs: int) -> str:
    network = load_network(bundle)
    images = torch.from_numpy(bundle.recipe.apply(scan).array)
    gradcam = GradCAM(network, target_layers="layer4")

    def forward() -> None:
        with torch.inference_mode():
            network(images)

    alone, both = _in_turn(runs, forward, lambda: gradcam(images))
    return f"torch: {_ratio(both, alone, 'forward pass')}"


def _in_turn(runs: int, *functions: Callable[[], object]) -> list[float]:
    for function in functions:
        function()
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(runs):
        for times, function in zip(seconds, functions, strict=True):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in seconds]


def _ratio(both: float, alone: float, what: str) -> str:
    return (
        f"{both / alone:.2f} × the {what} ({both * 1e3:.1f} ms, {alone * 1e3:.1f} ms)"
    )


if __name__ == "__main__":
    main()
