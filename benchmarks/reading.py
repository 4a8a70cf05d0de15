"""How fast scans are read: ours against the readers that others use.

Every case runs ours and its peers in turn in one process, and prints ratios of the best
times (a busy machine only ever adds time). Files are made for the run: a CT series of
300 slices of 512² (int16), the same in JPEG 2000, a tree of 10,000 instances, and a
compressed NIfTI image. ``--series FOLDER`` reads a real series instead.

    python benchmarks/reading.py [--only planning] [--runs 5] [--cold]

``--cold`` drops the files from the page cache before each reading (Linux).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

from napari_resonance.reading import outline_scans, read_scan, read_scans
from napari_resonance.samples import sample_path

Case = dict[str, Callable[[], object]]


def main() -> None:
    """Make the files, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--series", type=Path, help="a folder with one CT series")
    options = parser.parse_args()
    cases = {
        "series": partial(_series, options.series),
        "many series": _many_series,
        "planning": _planning,
        "compressed": _compressed,
        "lazy": _lazy,
        "nifti": _nifti,
    }
    for name, make in cases.items():
        if name.startswith(options.only):
            with tempfile.TemporaryDirectory() as folder:
                case = make(Path(folder))
                print(f"{name}{' (cold)' if options.cold else ''}")
                _measure(case, options.runs, Path(folder) if options.cold else None)


def _series(real: Path | None, folder: Path) -> Case:
    if real is None:
        _write_series(folder, 300, 512)
    files = sorted(p for p in (real or folder).iterdir() if p.is_file())
    return {
        "ours": partial(read_scan, real or folder),
        "the bytes alone, into one array": partial(_raw, files),
        "SimpleITK ImageSeriesReader": partial(_simpleitk, real or folder),
        "a loop over pydicom": partial(_pydicom_loop, files),
        "MONAI LoadImage(PydicomReader)": partial(_monai, real or folder),
    }


def _many_series(folder: Path) -> Case:
    folders = [folder / f"series-{n}" for n in range(20)]
    for n, one in enumerate(folders):
        _write_series(one, 40, 192, series=n)
    files = [p for one in folders for p in sorted(one.iterdir())]
    return {
        "ours": partial(read_scans, folder),
        "the bytes alone, into one array": partial(_raw, files),
        "SimpleITK ImageSeriesReader": lambda: [_simpleitk(f) for f in folders],
        "a loop over pydicom": partial(_pydicom_loop, files),
    }


def _planning(folder: Path) -> Case:
    for n in range(40):
        _write_series(folder / f"patient-{n // 4}" / f"series-{n}", 250, 16, series=n)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        "ours": partial(outline_scans, folder),
        "dcmread(stop_before_pixels=True)": partial(_headers, files),
    }


def _compressed(folder: Path) -> Case:
    _write_series(folder, 60, 512, syntax=JPEG2000Lossless)
    files = sorted(folder.iterdir())
    return {
        "ours": partial(read_scan, folder),
        "ours, one core": partial(_on_one_core, folder),
        "a loop over pydicom": partial(_pydicom_loop, files),
    }


def _lazy(folder: Path) -> Case:
    _write_series(folder, 300, 512)

    def scroll() -> None:
        voxels: Any = read_scans(folder, lazy_over=0)[0].voxels
        for k in range(voxels.shape[2]):
            np.asarray(voxels[:, :, k])

    def first() -> None:
        voxels: Any = read_scans(folder, lazy_over=0)[0].voxels
        np.asarray(voxels[:, :, 150])

    return {
        "ours, lazily, all slices shown": scroll,
        "ours, lazily, one slice shown": first,
        "ours, at once": partial(read_scan, folder),
    }


def _nifti(folder: Path) -> Case:
    image = nibabel.load(sample_path("icbm-t1"))
    path = folder / "scan.nii.gz"
    # Four times the voxels, so that reading and not starting is measured.
    voxels = np.concatenate([np.asarray(image.dataobj)] * 4, axis=2)
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), path)
    return {
        "ours": lambda: np.asarray(read_scan(path).voxels),
        "nibabel": lambda: np.asarray(nibabel.load(path).dataobj),
    }


def _write_series(
    folder: Path,
    n_slices: int,
    size: int,
    *,
    series: int = 0,
    syntax: pydicom.uid.UID = ExplicitVRLittleEndian,
) -> None:
    """Write an ordinary CT series: the header of pydicom's CT, smooth noisy slices."""
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(pydicom.data.__file__).parent / "test_files" / "CT_small.dcm"
    rng = np.random.default_rng(series)
    wave = 400 * np.sin(np.arange(size) / 20)
    for n in range(n_slices):
        made = pydicom.dcmread(path)
        made.SeriesInstanceUID, made.SeriesNumber = f"1.2.3.{series + 1}", series + 1
        made.SOPInstanceUID = generate_uid(entropy_srcs=[str(series), str(n)])
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.InstanceNumber = n + 1
        made.ImagePositionPatient = [-125.5, -130.25, round(-100 + 1.25 * n, 2)]
        made.SliceLocation = made.ImagePositionPatient[2]
        made.ContentTime = f"10{n // 60 % 60:02d}{n % 60:02d}"
        noise = rng.integers(-30, 30, (size, size))
        pixels = (wave[:, None] + wave + noise + n).astype(np.int16)
        made.Rows = made.Columns = size
        made.PixelData = pixels.tobytes()
        if syntax != ExplicitVRLittleEndian:
            made.compress(syntax, generate_instance_uid=False)
        made.save_as(folder / f"IM{n:05d}")


def _raw(files: list[Path]) -> None:
    """Read all bytes of all files into one fresh array: nobody can be faster."""
    sizes = [path.stat().st_size for path in files]
    memory, at = memoryview(np.empty(sum(sizes), np.uint8)), 0
    for path, size in zip(files, sizes, strict=True):
        with path.open("rb", buffering=0) as file:
            file.readinto(memory[at : at + size])
        at += size


def _simpleitk(folder: Path) -> None:
    import SimpleITK as sitk  # noqa: N813 - its users' name

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    sitk.GetArrayViewFromImage(reader.Execute())


def _pydicom_loop(files: Iterable[Path]) -> None:
    read = [pydicom.dcmread(path) for path in files]
    read.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    np.stack([d.pixel_array for d in read])


def _headers(files: Iterable[Path]) -> None:
    for path in files:
        pydicom.dcmread(path, stop_before_pixels=True)


def _monai(folder: Path) -> None:
    from monai.transforms import LoadImage

    LoadImage(reader="PydicomReader")(str(folder))


def _on_one_core(folder: Path) -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(cores)[:1]))
    try:
        read_scan(folder)
    finally:
        os.sched_setaffinity(0, cores)


def _measure(case: Case, runs: int, cold: Path | None) -> None:
    """Run all peers in turn, and print how many times the first's time each takes."""
    best = dict.fromkeys(case, float("inf"))
    # The slowest peers need no more than two rounds to be told from ours.
    for n in range(runs):
        for name, function in case.items():
            if n >= 2 and best[name] > 20 * best[next(iter(case))]:
                continue
            if cold is not None:
                _forget(cold)
            started = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - started)
    ours = next(iter(best.values()))
    for name, seconds in best.items():
        print(f"  {name}: {seconds * 1e3:.0f} ms, {seconds / ours:.2f} × ours")


def _forget(folder: Path) -> None:
    """Drop the files of a folder from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


if __name__ == "__main__":
    main()
