"""What a fine-tuning and its classifier cost, as ratios.

- The first epoch of a frozen network (it runs over augmented views of all) against
  a later one (their features are kept).
- What reading the prepared inputs takes of an epoch in which the whole network learns.
- A ResNet-18 in 3D, converted to OpenVINO, against the same network called in PyTorch,
  one scan at a time; how near each comes to the rate of a plain matrix product on this
  processor, which bounds what there is to gain; how far their probabilities differ.

    python benchmarks/training_cost.py ../shared/data/medmnist/adrenalmnist3d_64.npz
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nibabel
import numpy as np

from napari_resonance.training.finetune import finetune
from napari_resonance.training.options import FinetuneOptions
from napari_resonance.training.samples import Samples

CASES = 96
_SQUARE = 3000


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="a MedMNIST .npz of volumes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        table = write_cases(options.source, Path(work))
        feature_cache(table, Path(work) / "frozen")
        loader_share(table, Path(work) / "whole")
        conversion(Path(work))


def write_cases(source: Path, folder: Path) -> Path:
    """Write the first cases as NIfTI files with random labels' table; return it."""
    rows = [("path", "label", "patient")]
    with np.load(source) as arrays:
        images = arrays["train_images"][:CASES]
        targets = np.ravel(arrays["train_labels"][:CASES])
    for n, (image, target) in enumerate(zip(images, targets, strict=True)):
        name = f"case{n:03}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), folder / name)
        rows.append((name, f"class {target}", f"patient {n}"))
    table = folder / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return table


def feature_cache(table: Path, out: Path) -> None:
    """Print how much faster epochs are whose features are kept."""
    options = FinetuneOptions(
        preset="quick", unfreeze="head", shape=(64, 64, 64), device="cpu"
    )
    began = time.perf_counter()
    result = finetune(table, out, pretrained="mr-sequence", options=options)
    whole = time.perf_counter() - began
    (decision,) = (d for d in result.decisions if d.name == "feature cache")
    first = float(decision.reason.rsplit(" in ", 1)[1].removesuffix(" s"))
    record = json.loads((out / "training" / "record.json").read_text())
    later = statistics.median(record["epoch_seconds"][0])
    print(f"frozen network: {first:.1f} s for the views, {later * 1e3:.1f} ms an epoch")
    print(f"  ratio {first / later:.0f}, to be reached 50; {whole:.0f} s in all")


def loader_share(table: Path, out: Path) -> None:
    """Print what share of the epochs goes into reading inputs."""
    spent = []
    read = Samples.images

    def timed(samples: Samples, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return read(samples, *arguments)
        finally:
            spent.append(time.perf_counter() - began)

    options = FinetuneOptions(preset="quick", epochs=3, members=1, device="cpu")
    with patch.object(Samples, "images", timed):
        finetune(table, out, options=options)
    record = json.loads((out / "training" / "record.json").read_text())
    epochs = sum(record["epoch_seconds"][0])
    # All reads count, those of the final judgement too: an upper limit.
    print(f"inputs: {100 * sum(spent) / epochs:.1f} % of the epochs, at most 10 wanted")


def conversion(folder: Path) -> None:
    """Print how much faster the converted network answers, and how differently."""
    import torch
    from safetensors.torch import save_file
    from torch.utils.flop_counter import FlopCounterMode

    from napari_resonance.classifier.definition import resnet_definition
    from napari_resonance.classifier.importing import ImportOptions, import_weights
    from napari_resonance.classifier.network import build_network, state_dict_of
    from napari_resonance.classifier.openvino_engine import OpenVinoEngine, convert
    from napari_resonance.preprocessing import Recipe

    torch.manual_seed(0)
    shape = (64, 96, 96)
    settings = {"conv1_t_size": 7, "conv1_t_stride": 1, "bias_downsample": False}
    definition = resnet_definition(18, dimensions=3, n_labels=2, **settings)
    weights = folder / "resnet18.safetensors"
    network = build_network(definition).eval()
    save_file(state_dict_of(network), weights)
    recipe = Recipe(3, (("resample_shape", {"shape": list(shape)}), ("zscore", {})))
    chosen = ImportOptions(
        recipe=recipe, labels=("a", "b"), definition=definition, task="a benchmark"
    )
    bundle, _ = import_weights(weights, folder / "resnet18", chosen)
    engine = OpenVinoEngine(convert(bundle))
    volume = torch.randn(1, 1, *shape)
    square = torch.randn(_SQUARE, _SQUARE)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        expected = network(volume)
    logits, _ = engine.run(volume.numpy())
    runs: dict[str, tuple[Callable[[], object], float]] = {
        "PyTorch": (lambda: network(volume), counter.get_total_flops()),
        "OpenVINO": (lambda: engine.run(volume.numpy()), counter.get_total_flops()),
        "matrix product": (lambda: square @ square, 2.0 * _SQUARE**3),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for _ in range(6):
            for name, (run, _) in runs.items():
                began = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - began)
    # The first one prepares.
    middle = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    rate = {name: operations / middle[name] for name, (_, operations) in runs.items()}
    ratio = middle["PyTorch"] / middle["OpenVINO"]
    bound = rate["matrix product"]
    size = "×".join(map(str, shape))
    print(f"ResNet-18 at {size}: OpenVINO {ratio:.1f} times faster, to be reached 3")
    for name in ("PyTorch", "OpenVINO"):
        print(f"  {name}: {rate[name] / bound:.2f} of the rate of a matrix product")
    answers = [torch.as_tensor(one).softmax(dim=1) for one in (expected, logits)]
    print(f"  probabilities differ by {(answers[0] - answers[1]).abs().max():.1e}")


if __name__ == "__main__":
    main()
