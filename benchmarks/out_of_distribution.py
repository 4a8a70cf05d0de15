"""How well scans are told that are nothing like the training scans.

The embedded classifier `mr-sequence` is asked about real heads, and about what is none:
other modalities, other organs, noise, nothing. A classifier that `medmnist.py --keep`
trained on BreastMNIST is asked about its test images, and about images of other things.
Prints the AUROC of the out-of-distribution score, and how many of each are flagged.

    python benchmarks/out_of_distribution.py ../shared/data
    python benchmarks/out_of_distribution.py ../shared/data --breast FOLDER
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from napari_resonance import Classifier, Scan, load_classifier, read_scans
from napari_resonance.errors import ResonanceError

TARGET = 0.95


def main() -> None:
    """Read the command line, and judge both classifiers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the real scans")
    parser.add_argument("--breast", type=Path, help="a classifier of BreastMNIST")
    options = parser.parse_args()
    others = list(_volumes(options.data))
    heads = list(_heads(options.data / "mr_sequence"))
    judge("mr-sequence", heads, [*others, *_artificial([s for _, s in heads[:10]])])
    if options.breast is not None:
        with np.load(options.data / "medmnist" / "breastmnist.npz") as arrays:
            images = [_image(values) for values in arrays["test_images"]]
        inside = [("breast ultrasound", scan) for scan in images]
        outside = [*_slices([*others, *heads]), *_artificial(images[:40])]
        judge(str(options.breast), inside, outside)


def judge(
    model: str, inside: Iterable[tuple[str, Scan]], outside: Iterable[tuple[str, Scan]]
) -> None:
    """Print the AUROC of the score, and the share of each kind that is flagged."""
    classifier = load_classifier(model)
    kinds: dict[str, list[float]] = {}
    truth, scores = [], []
    for odd, group in ((0, inside), (1, outside)):
        for kind, scan in group:
            score = _score(classifier, scan)
            kinds.setdefault(kind, []).append(score)
            truth.append(odd)
            scores.append(min(score, 1e9))
    print(f"{model}: AUROC {roc_auc_score(truth, scores):.3f}, to be reached {TARGET}")
    for kind, found in kinds.items():
        flagged = sum(score > 1 for score in found)
        print(f"  {kind}: {flagged} of {len(found)} flagged")


def _score(classifier: Classifier, scan: Scan) -> float:
    """Return the score, without end where the classifier refuses the scan."""
    try:
        found = classifier.classify(scan).out_of_distribution
    except ResonanceError:
        return float("inf")
    if found is None:
        raise SystemExit("the classifier keeps no statistics of its training scans")
    return found.score


def _heads(folder: Path) -> Iterator[tuple[str, Scan]]:
    with (folder / "labels.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            yield "head", read_scans(folder / row["path"])[0]


def _volumes(data: Path) -> Iterator[tuple[str, Scan]]:
    """Yield scans that are no MR scans of a head."""
    for scan in read_scans(data / "ct_dicom"):
        yield "CT of a body", scan
        values = scan.values()
        for axis in range(2):
            for half in np.array_split(values, 2, axis=axis):
                yield "CT of a body", Scan(half, scan.affine, modality="CT")
        # As a NIfTI file has it: nothing tells the modality.
        yield "CT of a body, no header", Scan(values, scan.affine)
    with np.load(data / "medmnist" / "adrenalmnist3d_64.npz") as arrays:
        for values in arrays["test_images"][:20]:
            affine = np.diag([3.0, 3.0, 3.0, 1.0])
            yield "mask of a gland", Scan(values.astype(np.float32), affine)
    for path in sorted((data / "xray_dicom").glob("*.dcm")):
        yield "radiograph", read_scans(path)[0]


def _artificial(scans: Iterable[Scan]) -> Iterator[tuple[str, Scan]]:
    """Yield noise, nothing and shuffled voxels on the grids of scans."""
    random = np.random.default_rng(0)
    for scan in scans:
        values = scan.values()
        noise = random.normal(values.mean(), values.std() + 1, values.shape)
        yield "noise", Scan(noise.astype(np.float32), scan.affine)
        yield "nothing", Scan(np.full_like(values, values.max()), scan.affine)
        order = random.permutation(values.shape[0])
        yield "shuffled", Scan(np.ascontiguousarray(values[order]), scan.affine)


def _slices(volumes: Iterable[tuple[str, Scan]]) -> Iterator[tuple[str, Scan]]:
    for kind, scan in volumes:
        values = scan.values()
        middle = values[..., values.shape[2] // 2 :][..., :1]
        low, high = np.percentile(middle, (0.5, 99.5))
        if high > low:
            grey = np.clip((middle - low) / (high - low), 0, 1) * 255
            yield f"slice: {kind}", Scan(np.rint(grey).astype(np.float32), scan.affine)


def _image(values: np.ndarray) -> Scan:
    picture = np.ascontiguousarray(values.T[:, ::-1, None], np.float32)
    return Scan(picture, np.eye(4))


if __name__ == "__main__":
    main()
