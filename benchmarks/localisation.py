"""How well each saliency method finds what decides: lesions planted in real scans.

Bright, soft-edged balls are planted in half of the copies of real head scans, so that
their place is known and nothing else tells the two kinds apart. A classifier is trained
on them from scratch by the ordinary `finetune`, and the maps of all methods are scored
on lesions in patients that it has never seen: pointing game, share of the evidence in
the mask, and overlap at a threshold that is chosen on validation patients. In 3D, and
in 2D on single slices::

    python benchmarks/localisation.py ../shared/data/mr_sequence [--only 2D]
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from napari_resonance import ExplainOptions, explain, finetune, read_scan
from napari_resonance.classifier.predict import Classifier
from napari_resonance.classifier.prediction import Saliency
from napari_resonance.errors import SaliencyError
from napari_resonance.geometry import Grid, resample
from napari_resonance.saliency.localisation import (
    Mask,
    best_share,
    mass_inside,
    overlap,
    points_at,
)
from napari_resonance.saliency.methods import METHODS
from napari_resonance.training.options import FinetuneOptions

SIDES = {
    "train": ("ljubljana_01", "ljubljana_19", "tcga_fg_6692"),
    "validation": ("ljubljana_04", "ljubljana_09", "boston_01"),
    "test": ("ljubljana_03", "tcga_du_7294"),
}
COPIES = {"train": 12, "validation": 4, "test": 4}  # with a lesion, and as many without
LABEL = "lesion"
LEARNT = 0.75  # a test AUC below which maps are not worth being scored
# The last feature map and, of the same method, the one before it.
ASKED = [*((name, None) for name in METHODS), ("gradcam", "layer3")]

Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """One copy of a scan, and where its lesion is, if it has one."""

    path: Path
    patient: str
    side: str
    mask: Mask | None


@dataclass(frozen=True)
class Setting:
    """How scans are cut and what network looks at them."""

    spacing: float
    is_flat: bool
    shape: tuple[int, ...]
    radius_mm: tuple[float, float]
    batch: int | None = None  # as the data suggest


SETTINGS = {
    "3D": Setting(3.0, False, (32, 36, 32), (14.0, 20.0), 8),
    "2D": Setting(2.0, True, (96, 112), (8.0, 14.0)),
}


def main() -> None:
    """Plant, train, explain, score, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", type=Path, help="folder of the head scans")
    parser.add_argument("--only", default="", choices=["", *SETTINGS])
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    options = parser.parse_args()
    for name, setting in SETTINGS.items():
        if options.only in ("", name):
            with tempfile.TemporaryDirectory() as folder:
                _one(name, setting, options, Path(folder))


def _one(
    name: str, setting: Setting, options: argparse.Namespace, folder: Path
) -> None:
    started = time.perf_counter()
    cases = planted(options.scans, setting, folder)
    table = _write_table(cases, folder / "labels.csv")
    chosen = FinetuneOptions(
        preset="quick",
        epochs=options.epochs,
        shape=setting.shape,
        batch=setting.batch,
        flip="x",
    )
    result = finetune(table, folder / "model", options=chosen)
    area = result.metrics["auroc"]["value"]
    print(
        f"\n{name}: {len(cases)} copies, test AUC {area:.3f}, trained in "
        f"{result.seconds:.0f} s",
        flush=True,
    )
    if area < LEARNT:
        print("it has not learnt to find the lesions: its maps are not scored")
        return
    with_lesion = [case for case in cases if case.mask is not None]
    chance = np.mean([c.mask.share for c in with_lesion if c.mask and c.side == "test"])
    print("| method | pointing game | evidence in the mask | overlap |")
    print("|---|---|---|---|")
    print(f"| a map without any idea | {chance:.3f} | {chance:.3f} | {chance:.3f} |")
    for method, layer in ASKED:
        if method not in options.methods:
            continue
        row = _scored(result.classifier, with_lesion, method, layer)
        words = method if layer is None else f"{method}, {layer}"
        print(f"| `{words}` | {row} |", flush=True)
    print(f"all in {time.perf_counter() - started:.0f} s")


def _scored(
    classifier: Classifier, cases: list[Case], method: str, layer: str | None
) -> str:
    pairs: dict[str, list[tuple[Saliency, Mask]]] = {"validation": [], "test": []}
    for case in cases:
        if case.mask is None or case.side == "train":
            continue
        ask = ExplainOptions(method, target=LABEL, layer=layer)
        try:
            found = explain(classifier, read_scan(case.path), ask)
        except SaliencyError as error:
            return f"not made: {error.message} | |"
        if found.prediction.label == LABEL:  # of an answer that is wrong, none is right
            pairs[case.side].append((found.saliency, case.mask))
    share = best_share(pairs["validation"])
    test = pairs["test"]
    pointed = np.mean([points_at(*pair) for pair in test])
    mass = np.mean([mass_inside(*pair) for pair in test])
    union = np.mean([overlap(*pair, share) for pair in test])
    return (
        f"{pointed:.2f} | {mass:.2f} | {union:.2f} (at {share:.2f}; {len(test)} maps)"
    )


def planted(scans: Path, setting: Setting, folder: Path) -> list[Case]:
    """Write copies of all scans, with and without a lesion; return them."""
    rng = np.random.default_rng(0)
    cases = []
    for side, patients in SIDES.items():
        for patient in patients:
            for source in sorted((scans / patient).glob("*.nii.gz")):
                values, affine = _coarse(source, setting.spacing)
                for number in range(2 * COPIES[side]):
                    stem = f"{patient}_{source.name.split('.')[0]}_{number}"
                    path = folder / f"{stem}.nii.gz"
                    mask = _write(
                        values, affine, path, rng, setting, has_lesion=number % 2 == 1
                    )
                    cases.append(Case(path, patient, side, mask))
    return cases


def _coarse(source: Path, spacing: float) -> tuple[Array, Array]:
    """Return a scan on a grid of one spacing along its own axes, 1 at its brightest."""
    scan = read_scan(source)
    sides = np.array(scan.spacing)
    affine = scan.affine @ np.diag([*(spacing / sides), 1.0])
    shape = np.maximum(1, np.floor(np.array(scan.grid_shape) * sides / spacing))
    x, y, z = (int(n) for n in shape)
    values = resample(
        scan.values().astype(np.float32), scan.affine, Grid((x, y, z), affine)
    )
    return np.clip(values / np.percentile(values, 99.5), 0, 1.5), affine


def _write(
    values: Array,
    affine: Array,
    path: Path,
    rng: np.random.Generator,
    setting: Setting,
    *,
    has_lesion: bool,
) -> Mask | None:
    """Write one copy; return where its lesion is."""
    head = ndimage.binary_erosion(
        ndimage.binary_fill_holes(values > 0.1), iterations=round(8 / setting.spacing)
    )
    places = np.argwhere(head)
    middle = places[rng.integers(len(places))]
    radius = rng.uniform(*setting.radius_mm) / setting.spacing
    if setting.is_flat:
        # The slice with the lesion's middle, as one image; so without a lesion, too.
        axis = int(np.argmax(np.abs(affine[2, :3])))
        values = np.take(values, [middle[axis]], axis=axis)
        values, middle = np.moveaxis(values, axis, 2), np.delete(middle, axis)
        middle = np.append(middle, 0)
        affine = np.diag([setting.spacing, setting.spacing, 5.0, 1.0])
    away = np.indices(values.shape) - middle.reshape(3, 1, 1, 1)
    distance = np.sqrt((away**2).sum(axis=0))
    weight = np.clip((radius - distance) / 2 + 0.5, 0, 1)
    noisy = values + rng.normal(0, 0.01, values.shape)
    if has_lesion:
        noisy = noisy * (1 - weight) + weight * rng.uniform(0.9, 1.2)
    stored = np.clip(noisy * 1000, 0, 2000).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(stored, affine), path)
    return Mask(weight > 0.5, affine) if has_lesion else None


def _write_table(cases: list[Case], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "patient", "split"))
        for case in cases:
            label = LABEL if case.mask is not None else "none"
            writer.writerow((case.path.name, label, case.patient, case.side))
    return path


if __name__ == "__main__":
    main()
