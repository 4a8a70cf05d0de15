"""What each saliency method costs, and whether it agrees with those of others.

Seconds and forward passes of every method of ours, and of its peer in the same process:
MONAI's GradCAM, GradCAMpp and OcclusionSensitivity, captum's IntegratedGradients and
NoiseTunnel, and M3d-Cam's Grad-CAM where it is installed. Occlusion is compared on the
same grid of windows: the same size, the same distance, filled with the mean. The whole
run is bound to as many cores as are asked for, so that OpenVINO and torch have the same
number of threads::

    python benchmarks/saliency.py [--cores 1] [--runs 3] [--only 3D] [--occlusion]
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Saliency
from monai.visualize import GradCAM, GradCAMpp, OcclusionSensitivity

from napari_resonance.classifier.bundle import Bundle, save_bundle
from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.definition import resnet_definition
from napari_resonance.classifier.engines import load_network
from napari_resonance.classifier.network import build_network
from napari_resonance.classifier.predict import Classifier
from napari_resonance.preprocessing import Recipe
from napari_resonance.saliency.explain import ExplainOptions, Explanation, explain
from napari_resonance.saliency.methods import METHODS
from napari_resonance.saliency.occlusion import CELLS
from napari_resonance.scan import Scan

# Name: definition, voxels of the scan, voxels of an occlusion window.
CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int], int]] = {
    "2D, ResNet-18, one image of 224²": (
        {"depth": 18, "dimensions": 2, "conv1_t_stride": 2},
        (224, 224, 1),
        32,
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
        12,
    ),
}
OCCLUSION_TARGET = 10.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--occlusion", action="store_true", help="nothing else")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))
    print(f"on {len(cores)} core(s)")
    for name, (settings, shape, window) in CASES.items():
        if name.startswith(options.only):
            with tempfile.TemporaryDirectory() as folder:
                print(name)
                asked = Asked(Path(folder) / "bundle", settings, shape, window)
                _case(asked, options.runs, only_occlusion=options.occlusion)
    if find_spec("medcam") is None:
        print(
            "M3d-Cam is not installed: not compared (pip install medcam opencv-python)"
        )


class Asked(NamedTuple):
    """One case: where its bundle is saved, its network, its scan, its window."""

    folder: Path
    settings: dict[str, Any]
    shape: tuple[int, int, int]
    window: int


def _case(asked: Asked, runs: int, *, only_occlusion: bool) -> None:
    classifier = Classifier(_bundle(asked.folder, asked.settings), "cpu")
    network = load_network(classifier.bundle).requires_grad_(False)
    scan = _scan(asked.shape)
    found: dict[str, Explanation] = {}
    classifier.classify(scan)
    classifier.torch_network()
    alone = _median(lambda: classifier.classify(scan), runs)
    print(f"  prediction alone: {alone * 1e3:.1f} ms ({classifier.device})")
    for method in ["occlusion"] if only_occlusion else METHODS:
        window = float(asked.window) if METHODS[method].takes_window else None
        ask = ExplainOptions(method, target="a", window_mm=window)

        def run(ask: ExplainOptions = ask) -> None:
            found[ask.method] = explain(classifier, scan, ask)

        seconds = _median(run, 1 if method == "occlusion" else runs)
        forwards = found[method].forwards
        print(
            f"  {method}: {seconds / alone:.2f} × the prediction, "
            f"{forwards:.0f} forward passes, {seconds:.2f} s"
        )
    array = found["occlusion"].case.network_input.array
    images = torch.from_numpy(array)
    if not only_occlusion:
        _cams(network, images, found, runs)
        if find_spec("medcam") is not None:
            _m3d_cam(network, images, found["gradcam"], runs)
        _gradients(network, images, found, runs)
    _occlusion(network, images, found["occlusion"], asked.window)


def _cams(
    network: Any, images: torch.Tensor, found: dict[str, Explanation], runs: int
) -> None:
    """MONAI's class activation maps, on the raw grid: it would turn high into low."""
    as_it_is: dict[str, Any] = {
        "upsampler": lambda _size: lambda values: values,
        "postprocessing": lambda values: values,
    }
    for name, kind in (("gradcam", GradCAM), ("gradcam++", GradCAMpp)):
        cam = kind(network.requires_grad_(True), target_layers="layer4", **as_it_is)
        theirs = cam(images, class_idx=0)
        seconds = _median(lambda cam=cam: cam(images, class_idx=0), runs)
        ours = np.maximum(found[name].saliency.values, 0)
        _agreement(f"MONAI {kind.__name__}", seconds, found[name], ours, theirs)
    network.requires_grad_(False)


def _m3d_cam(network: Any, images: torch.Tensor, found: Explanation, runs: int) -> None:
    """M3d-Cam's Grad-CAM; it enlarges maps by interpolation, and so is ours here."""
    from medcam import medcam

    injected = medcam.inject(
        network.requires_grad_(True),
        backend="gcam",
        layer="layer4",
        label=0,
        return_attention=True,
    )
    theirs = injected(images)[1]
    seconds = _median(lambda: injected(images), runs)
    cells = np.maximum(found.saliency.values, 0).reshape(
        1, 1, *found.answer.features.shape[2:]
    )
    mode = "bilinear" if images.ndim == 4 else "trilinear"
    ours = torch.nn.functional.interpolate(
        torch.from_numpy(cells), images.shape[2:], mode=mode, align_corners=False
    )
    _agreement("M3d-Cam", seconds, found, np.asarray(ours), theirs)
    network.requires_grad_(False)


def _gradients(
    network: Any, images: torch.Tensor, found: dict[str, Explanation], runs: int
) -> None:
    mean = torch.full_like(images, float(images.mean()))
    integrated = IntegratedGradients(network)
    tunnel = NoiseTunnel(Saliency(network))
    deviation = 0.15 * float(images.max() - images.min())

    def ig() -> torch.Tensor:
        return integrated.attribute(
            images.requires_grad_(), mean, target=0, n_steps=32, internal_batch_size=4
        )

    def smooth() -> torch.Tensor:
        torch.manual_seed(0)
        gradient = tunnel.attribute(
            images.requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=24,
            nt_samples_batch_size=4,
            stdevs=deviation,
            abs=False,
            target=0,
        )
        return gradient * (images - mean)

    for name, run in (("integrated-gradients", ig), ("smoothgrad", smooth)):
        theirs = run().detach()
        ours = found[name].saliency.values
        _agreement("captum alone", _median(run, runs), found[name], ours, theirs)


def _occlusion(
    network: Any, images: torch.Tensor, found: Explanation, window: int
) -> None:
    """MONAI's occlusion, with windows as large and as far apart as ours."""
    step = window // CELLS
    peer = OcclusionSensitivity(
        network,
        mask_size=window,
        overlap=1 - step / window,
        mode="mean_img",
        n_batch=4,  # its fastest here
        activate=False,
        verbose=False,
    )
    started = time.perf_counter()
    with torch.inference_mode():
        sensitivity, _ = peer(images.detach())
    seconds = time.perf_counter() - started
    # What goes of the logit, on voxels; cells of ours are the means of theirs.
    drop = float(found.answer.logits[0, 0]) - np.asarray(sensitivity)[0, 0]
    cell = found.saliency.values.shape
    shape = images.shape[2:]
    centers = [
        np.minimum(np.arange(n) * step + step // 2, size - 1)
        for n, size in zip(cell[: len(shape)], shape, strict=True)
    ]
    theirs = drop[np.ix_(*centers)]
    ours = found.saliency.values.reshape(theirs.shape)
    ratio = seconds / found.seconds
    verdict = "reached" if ratio >= OCCLUSION_TARGET else "missed"
    print(
        f"  occlusion: {found.forwards - 1:.0f} windows looked at of "
        f"{math.prod((n - window) // step + 1 for n in shape)} within the image, "
        f"{found.seconds:.1f} s; MONAI {seconds:.1f} s: {ratio:.1f} × as fast "
        f"(target {OCCLUSION_TARGET:.0f}: {verdict}), correlation "
        f"{np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]:.3f}"
    )


def _agreement(
    peer: str, seconds: float, found: Explanation, ours: np.ndarray, theirs: Any
) -> None:
    other = np.asarray(theirs.detach()).reshape(ours.shape)
    alike = np.corrcoef(ours.ravel(), other.ravel())[0, 1]
    print(
        f"  {found.options.method} against {peer}: {seconds:.2f} s for the map alone, "
        f"ours with the prediction {found.seconds:.2f} s, correlation {alike:.4f}"
    )


def _bundle(folder: Path, settings: dict[str, Any]) -> Bundle:
    torch.manual_seed(0)
    dimensions = settings["dimensions"]
    definition = resnet_definition(**settings, n_labels=3)
    definition["n_input_channels"] = 1
    return save_bundle(
        folder,
        network=build_network(definition),
        network_def=definition,
        recipe=Recipe.from_json(
            {"dimensions": dimensions, "steps": [{"step": "zscore"}]}
        ),
        calibration=Calibration(),
        card=ModelCard("random", "0", "none", ("a", "b", "c"), dimensions),
        convert=True,
    )


def _scan(shape: tuple[int, int, int]) -> Scan:
    """Return smooth noise with a bright ball off its centre."""
    from scipy import ndimage

    random = np.random.default_rng(0)
    voxels = ndimage.gaussian_filter(random.normal(size=shape), 2) * 300 + 500
    away = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) * 0.35
    voxels[(away**2).sum(axis=0) < (min(shape[:2]) / 8) ** 2] += 800
    return Scan(voxels.astype(np.int16), np.eye(4))


def _median(function: Callable[[], object], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
