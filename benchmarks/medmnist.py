r"""Classification of MedMNIST sets by `resonance finetune`, next to published figures.

Each set becomes NIfTI files and a ``labels.csv`` with the official split, and goes
through the ordinary command. A run looks at the test cases once, at the end; choosing
options by the figures that it prints would be looking more often.

    python benchmarks/medmnist.py ../shared/data/medmnist/breastmnist.npz --seeds 3

Options that are not its own are the command's, for example ``--members 3``, or
``--overwrite`` where ``--keep`` names a folder of an earlier run. With
``--train 200`` no more training cases than that are used, and ``--pretrained`` begins
with weights from elsewhere:

    python benchmarks/medmnist.py ../shared/data/medmnist/adrenalmnist3d_64.npz \
        --seeds 1 --train 200 --pretrained astra-ct-152 --unfreeze head --shape 64,64,64
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

# Test AUC and accuracy. MedMNIST v2: Yang et al., Scientific Data 2023.
PUBLISHED = {
    "adrenalmnist3d": ("ResNet-50 + 3D (MedMNIST v2)", 0.828, 0.745),
    "adrenalmnist3d_64": ("ResNet-50 + 3D at 28³ (MedMNIST v2)", 0.828, 0.745),
    "breastmnist": ("ResNet-18 (MedMNIST v2)", 0.901, 0.863),
}
TARGETS = {
    "adrenalmnist3d": (0.91, 0.84),
    "adrenalmnist3d_64": (0.92, 0.0),
    "breastmnist": (0.925, 0.895),
}
# What a user would say of these scans: left and right glands were pooled by the
# authors, and a breast may lie on either side.
OPTIONS = {
    "adrenalmnist3d": ["--flip", "xyz"],
    "adrenalmnist3d_64": ["--flip", "xyz", "--shape", "32,32,32"],
    "breastmnist": ["--flip", "x"],
}
SIDES = {"train": "train", "val": "validation", "test": "test"}


def write_set(source: Path, folder: Path, most: int | None = None) -> Path:
    """Write images as NIfTI files of 1 mm, and their labels; return the table.

    Of the training cases the first `most` of a seeded order, or all.
    """
    rows = []
    with np.load(source) as arrays:
        for short, side in SIDES.items():
            images, targets = arrays[f"{short}_images"], arrays[f"{short}_labels"]
            kept = set(range(len(images)))
            if side == "train" and most is not None:
                order = np.random.default_rng(0).permutation(len(images))
                kept = set(order[:most].tolist())
            for n, (image, target) in enumerate(zip(images, targets, strict=True)):
                if n not in kept:
                    continue
                name = f"{short}{n:04}.nii.gz"
                # Rows of an image run down (to -y), columns to the right.
                volume = image if image.ndim == 3 else image.T[:, ::-1, None]
                nifti = nibabel.Nifti1Image(np.ascontiguousarray(volume), np.eye(4))
                nibabel.save(nifti, folder / name)
                rows.append(
                    (name, f"class {int(np.ravel(target)[0])}", f"{short}{n}", side)
                )
    table = folder / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "patient", "split"))
        writer.writerows(rows)
    return table


def finetune(
    table: Path, out: Path, pretrained: str, seed: int, options: list[str]
) -> dict[str, Any]:
    """Run the command; return its JSON document."""
    command = [sys.executable, "-m", "napari_resonance", "finetune", str(table)]
    command += ["--out", str(out), "--pretrained", pretrained, "--seed", str(seed)]
    done = subprocess.run(
        [*command, *options, "--json"], stdout=subprocess.PIPE, check=False
    )
    document: dict[str, Any] = json.loads(done.stdout)
    if done.returncode not in (0, 3):
        raise SystemExit(json.dumps(document))
    return document


def main() -> None:
    """Read the command line, train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="a MedMNIST .npz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--train", type=int, help="training cases to use")
    parser.add_argument("--pretrained", default="auto")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--keep", type=Path, help="folder for the classifiers")
    chosen, more = parser.parse_known_args()
    name = chosen.source.stem
    # The official split has near-copies on two sides; figures are for comparison.
    options = [*OPTIONS[name], "--allow-leaks", "--preset", chosen.preset, *more]
    print(f"{name}: resonance finetune LABELS {' '.join(options)}")
    areas, accuracies = [], []
    with tempfile.TemporaryDirectory() as work:
        table = write_set(chosen.source, Path(work), chosen.train)
        for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
            began, spent = time.perf_counter(), _processor_seconds()
            out = (chosen.keep or Path(work)) / f"{name}-{seed}"
            metrics = finetune(table, out, chosen.pretrained, seed, options)["metrics"]
            minutes = (time.perf_counter() - began) / 60
            spent = (_processor_seconds() - spent) / 60
            area, accuracy = metrics["auroc"], metrics["accuracy"]
            areas.append(area["value"])
            accuracies.append(accuracy["value"])
            print(
                f"seed {seed}: AUC {_figure(area)}, ACC {_figure(accuracy)}, "
                f"{minutes:.1f} min ({spent:.1f} min of processor time)",
                flush=True,
            )
    for what, values in (("AUC", areas), ("ACC", accuracies)):
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"mean {what} {statistics.mean(values):.3f} ± {spread:.3f}")
    text, area, accuracy = PUBLISHED[name]
    print(f"published: {text} AUC {area:.3f}, ACC {accuracy:.3f}")
    print("to be reached: AUC {:.3f}, ACC {:.3f}".format(*TARGETS[name]))


def _processor_seconds() -> float:
    """Return what the processes that have ended took of all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _figure(entry: dict[str, float]) -> str:
    return f"{entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"


if __name__ == "__main__":
    main()
