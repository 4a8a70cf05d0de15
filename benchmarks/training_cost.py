"""What a fine-tuning and its classifier cost, as ratios.

- The first epoch of a frozen network (it runs over augmented views of all) against
  a later one (their features are kept).
- What reading the prepared inputs takes of an epoch in which the whole network learns.
- A ResNet-18 in 3D, converted to OpenVINO, against the same network called in PyTorch,
  one scan at a time; how near each comes to the rate of a plain matrix product on this
  processor, which bounds what there is to gain; how far their probabilities differ;
  and the same in bfloat16, which is not exact enough to be used.

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
SHAPE = (64, 96, 96)  # of what is converted
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


def _bundle(network: Any, definition: dict[str, Any], folder: Path) -> Any:
    """Write a network's weights, and a bundle of them; return the bundle."""
    from safetensors.torch import save_file

    from napari_resonance.classifier.importing import ImportOptions, import_weights
    from napari_resonance.classifier.network import state_dict_of
    from napari_resonance.preprocessing import Recipe

    weights = folder / "resnet18.safetensors"
    save_file(state_dict_of(network), weights)
    recipe = Recipe(3, (("resample_shape", {"shape": list(SHAPE)}), ("zscore", {})))
    chosen = ImportOptions(
        recipe=recipe, labels=("a", "b"), definition=definition, task="a benchmark"
    )
    return import_weights(weights, folder / "resnet18", chosen)[0]


def conversion(folder: Path) -> None:
    """Print how much faster the converted network answers, and how differently."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from napari_resonance.classifier.definition import resnet_definition
    from napari_resonance.classifier.network import build_network
    from napari_resonance.classifier.openvino_engine import (
        OpenVinoEngine,
        convert,
        import_openvino,
    )

    torch.manual_seed(0)
    settings = {"conv1_t_size": 7, "conv1_t_stride": 1, "bias_downsample": False}
    definition = resnet_definition(18, dimensions=3, n_labels=2, **settings)
    network = build_network(definition).eval()
    model = convert(_bundle(network, definition, folder))
    engine = OpenVinoEngine(model)
    # What OpenVINO does unasked on a processor that knows bfloat16, and we forbid.
    short = (
        import_openvino()
        .Core()
        .compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    )
    volume = torch.randn(1, 1, *SHAPE)
    square = torch.randn(_SQUARE, _SQUARE)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        expected = network(volume)
    logits, _ = engine.run(volume.numpy())
    shortened = short([volume.numpy()])[0]
    runs: dict[str, tuple[Callable[[], object], float]] = {
        "PyTorch": (lambda: network(volume), counter.get_total_flops()),
        "OpenVINO": (lambda: engine.run(volume.numpy()), counter.get_total_flops()),
        "OpenVINO in bfloat16": (
            lambda: short([volume.numpy()]),
            counter.get_total_flops(),
        ),
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
    bound = rate["matrix product"]
    print(f"ResNet-18 at {'×'.join(map(str, SHAPE))}, 3 times PyTorch is to be reached")
    truth = torch.as_tensor(expected).softmax(dim=1)
    answers = {"OpenVINO": logits, "OpenVINO in bfloat16": shortened}
    print(f"  PyTorch: {rate['PyTorch'] / bound:.2f} of the rate of a matrix product")
    for name, answer in answers.items():
        difference = (torch.as_tensor(answer).softmax(dim=1) - truth).abs().max()
        print(
            f"  {name}: {middle['PyTorch'] / middle[name]:.2f} times faster, "
            f"{rate[name] / bound:.2f} of that rate, "
            f"probabilities differ by {difference:.1e}"
        )


if __name__ == "__main__":
    main()
