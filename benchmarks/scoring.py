"""How fast a folder is scored, what bounds it, and how much memory it takes.

Real brain scans (each under several names) are scored by `score`, by a loop over
transforms of MONAI and the same network in torch, by each stage alone, and by one and
two dask workers; in turn, several times. But for the loop, rates are those once all
processes have started. Prints ratios::

    python benchmarks/scoring.py FOLDER [--copies 8] [--runs 3]
    python benchmarks/scoring.py --memory
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import shutil
import statistics
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pace import Pace

from napari_resonance import ScoreOptions, load_classifier, score
from napari_resonance.cores import n_cores
from napari_resonance.scoring.plan import find
from napari_resonance.scoring.preparing import Job
from napari_resonance.scoring.reader import Models
from napari_resonance.scoring.readers import Readers
from napari_resonance.scoring.summary import Summary

MODEL = "mr-sequence"
SHAPE = (48, 56, 34)  # of the network's input, at 3 mm
LARGE = (512, 512, 300)
LARGE_BYTES = 2 * math.prod(LARGE)
COPIES = 8  # of a scan, where memory is measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="with NIfTI brain scans")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.memory:
            memory(Path(folder))
        else:
            scans = copied(options.folder, Path(folder) / "scans", options.copies)
            speed(scans, Path(folder), options.runs, options.copies)


def copied(folder: Path, to: Path, copies: int) -> list[Path]:
    """Put each scan into a folder several times, and into the disk cache."""
    scans = []
    for number, source in enumerate(sorted(folder.rglob("*.nii*"))):
        for copy in range(copies):
            scan = to / f"study{copy}" / f"{number}{''.join(source.suffixes[-2:])}"
            scan.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, scan)
            scans.append(scan)
    return scans


def speed(scans: list[Path], folder: Path, runs: int, copies: int) -> None:
    """Print ratios of throughputs, each the median of ratios within one round."""
    loop = monai_loop()
    loop(scans[:2])
    # Alone and in the run, each stage has the same: a core is left to the network.
    readers = max(1, n_cores() - 1)
    rates: dict[str, list[float]] = {}
    for number in range(runs):
        new = (folder / f"out{number}-{n}" for n in range(9))

        def run(new: Iterator[Path] = new, **options: Any) -> float:
            return scored(scans[0].parents[1], next(new), **options)[1]

        works: dict[str, Callable[[], float]] = {
            "MONAI loop": lambda: per_second(loop, scans[::copies]),
            "score, with its start": lambda new=new: whole_run(scans, next(new)),
            "score": run,
            "score, a core for the network": lambda run=run: run(readers=readers),
            "reading alone": lambda: read_alone(scans, readers),
            "network alone": lambda: network_alone(scans),
            "1 worker of one core": lambda run=run: with_one_core(run),
            "2 workers": lambda run=run: run(workers=2),
        }
        for name, work in works.items():
            rates.setdefault(name, []).append(work())
            print(f"  {name}: {rates[name][-1]:.1f} scans/s", flush=True)
    compare("score / MONAI loop (target 3)", *of(rates, "score, with", "MONAI"))
    slowest = list(map(min, *of(rates, "reading", "network")))
    kept = of(rates, "score, a core")[0]
    compare("score / slowest stage alone (target 0.9)", kept, slowest)
    # Of both stages, the time of a core that a scan takes.
    costs = zip(*of(rates, "reading", "network"), strict=True)
    most = [n_cores() / (readers / read + n_cores() / net) for read, net in costs]
    compare("score, all cores reading / all that cores can do", rates["score"], most)
    two, one = of(rates, "2 workers", "1 worker")
    two = [rate / 2 for rate in two]
    compare("2 workers / 2 × 1 worker (target 0.9)", two, one)


def of(rates: dict[str, list[float]], *starts: str) -> list[list[float]]:
    """Return those rates whose names start so."""
    return [next(r for n, r in rates.items() if n.startswith(s)) for s in starts]


def per_second(work: Callable[[list[Path]], None], scans: list[Path]) -> float:
    """Return how many scans a second work takes."""
    started = time.perf_counter()
    work(scans)
    return len(scans) / (time.perf_counter() - started)


def whole_run(scans: list[Path], out: Path) -> float:
    """Score, and count the time that processes take to start."""
    summary, _ = scored(scans[0].parents[1], out)
    print(f"  {summary.stages}")
    return len(scans) / summary.stages.wall


def with_one_core(run: Callable[..., float]) -> float:
    """Score with one dask worker that may use one core, as each of two may."""
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        return run(workers=1)
    finally:
        del os.environ["OMP_NUM_THREADS"]


def compare(name: str, ours: list[float], theirs: list[float]) -> None:
    """Print the median of the ratios, and their range."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    median = statistics.median(ratios)
    print(f"{name}: {median:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def scored(studies: Path, out: Path, **options: Any) -> tuple[Summary, float]:
    """Score a folder from scratch; return the scans a second, too."""
    chosen, pace = ScoreOptions(device="cpu", **options), Pace()
    summary = score(studies, MODEL, out=out, options=chosen, progress=pace)
    if summary.failed or summary.skipped or summary.resumed:
        raise RuntimeError(str(summary))
    return summary, pace.rate


def monai_loop() -> Callable[[list[Path]], None]:
    """Return the loop that is written by hand: MONAI's transforms, torch's network."""
    import torch
    from monai.transforms import (
        Compose,
        EnsureChannelFirst,
        HistogramNormalize,
        LoadImage,
        Orientation,
        ResizeWithPadOrCrop,
        Spacing,
    )

    torch.set_num_threads(n_cores())
    labels = (("L", "R"), ("P", "A"), ("I", "S"))
    transforms = Compose(
        [
            LoadImage(image_only=True),
            EnsureChannelFirst(),
            Orientation(axcodes="RAS", labels=labels),
            Spacing(pixdim=(3.0, 3.0, 3.0)),
            ResizeWithPadOrCrop(SHAPE),
            HistogramNormalize(min=0.0, max=1.0),
        ]
    )
    network, _ = load_classifier(MODEL, "cpu").torch_network()

    def loop(scans: list[Path]) -> None:
        with torch.inference_mode():
            for scan in scans:
                network(transforms(str(scan))[None].as_tensor()).softmax(1).tolist()

    return loop


def read_alone(scans: list[Path], readers: int) -> float:
    """Read and prepare in as many processes as a run has; return scans a second."""
    items = find([scans[0].parents[1]], Path("/nowhere")).items
    options, pace, done = ScoreOptions(readers=readers), Pace(), 0
    models = Models(load_classifier, (MODEL,), "cpu", (load_classifier(MODEL).sha256,))
    jobs = (Job(((item, (0,)),)) for item in items)
    source = Readers(jobs, models, options, lambda job: None)
    try:
        while not source.is_done:
            for message in source.messages(wait=True):
                source.used(message)
                done += 1
                pace(done, len(items), "")
    finally:
        source.close()
    return pace.rate


def network_alone(scans: list[Path]) -> float:
    """Run the network on prepared inputs, one after the other, on all cores."""
    classifier = load_classifier(MODEL, "cpu")
    array = np.random.default_rng(0).random((1, 1, *SHAPE), np.float32)
    classifier.run(array)

    def work(scans: list[Path]) -> None:
        for _ in scans:
            classifier.run(array)

    return per_second(work, scans)


def memory(folder: Path) -> None:
    """Print what scans take of memory beside models and processes, by what reads them.

    That is the peak of all processes, less that with small scans.
    """
    numbers = {"one reader": 1, f"{n_cores()} readers, as by default": n_cores()}
    inputs = {"of a file each": files_of(folder), "of one zip": archives_of(folder)}
    for kind, (small, large) in inputs.items():
        for name, readers in numbers.items():
            peaks = []
            for studies in (small, large):
                with watched() as peak:
                    scored(studies, Path(tempfile.mkdtemp(dir=folder)), readers=readers)
                peaks.append(peak[0])
            more = (peaks[1] - peaks[0]) / LARGE_BYTES
            print(f"{name}, scans {kind}: with small ones {peaks[0] / 1e6:.0f} MB,")
            size = LARGE_BYTES / 1e6
            print(f"  large ones ({size:.0f} MB) take {more:.2f} times that more")
    print("(target: at most 3)")


def files_of(folder: Path) -> tuple[Path, Path]:
    """Write scans as NIfTI files; return the folders of small and of large ones."""
    import nibabel as nib

    large = volume()
    for name, voxels in (("small", large[:64, :64, :64]), ("large", large)):
        for n in range(COPIES):
            path = folder / name / f"{n}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, np.diag([0.5, 0.5, 0.8, 1])), path)
    return folder / "small", folder / "large"


def archives_of(folder: Path) -> tuple[Path, Path]:
    """Write DICOM series, two archives of several; small ones, and large ones."""
    large = volume()
    method = zipfile.ZIP_DEFLATED
    for name, voxels in (("small", large[:64, :64, :64]), ("large", large)):
        for number in range(2):
            path = folder / f"zip-{name}" / f"{number}.zip"
            path.parent.mkdir(exist_ok=True)
            with zipfile.ZipFile(path, "w", method, True, 1) as to:
                for n, k in product(range(COPIES // 2), range(voxels.shape[2])):
                    plane = dicom_slice(f"1.2.{number}.{n}", k, voxels[..., k].T)
                    to.writestr(f"{n}/{k}.dcm", plane)
    return folder / "zip-small", folder / "zip-large"


def volume() -> NDArray[np.int16]:
    """Return voxels that compress about as well as real ones."""
    coarse = np.random.default_rng(0).integers(0, 2000, [n // 4 for n in LARGE])
    return np.kron(coarse, np.ones((4, 4, 4), int)).astype(np.int16)


def dicom_slice(series: str, k: int, pixels: NDArray[np.int16]) -> bytes:
    """Return a DICOM file of one slice of an MR series."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MRImageStorage
    uid = f"{series}.{k + 1}"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2", series
    data.Modality, data.SeriesNumber, data.InstanceNumber = "MR", 1, k + 1
    data.ImagePositionPatient = [0, 0, 0.8 * k]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SliceThickness = [0.5, 0.5], 0.8
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = 1
    data.PixelData = np.ascontiguousarray(pixels).tobytes()
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


@contextlib.contextmanager
def watched() -> Iterator[list[int]]:
    """Yield a list whose one value becomes the peak of this process and its children.

    In bytes; what processes share is counted once (PSS). Linux only.
    """
    import psutil

    peak, stop = [0], threading.Event()
    me = psutil.Process()

    def watch() -> None:
        while not stop.wait(0.02):
            total = 0
            for process in (me, *me.children(recursive=True)):
                with contextlib.suppress(OSError, psutil.Error):
                    total += process.memory_full_info().pss
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    os.environ.pop("OMP_NUM_THREADS", None)
    main()
