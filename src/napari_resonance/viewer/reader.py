"""napari's way in: files whose names match the manifest's patterns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PathOrPaths = str | Sequence[str]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[Any]] | None:
    """Return a reader for files that may be scans; None, never an error, for others.

    Parameters
    ----------
    path
        One file, or the files of one series.

    """
    paths = [path] if isinstance(path, str) else list(path)
    return read_layers if paths and all(_may_be_scan(Path(p)) for p in paths) else None


def read_layers(path: PathOrPaths) -> list[Any]:
    """Return the layers of the scans in files.

    Raises
    ------
    ReadError
        If they cannot be read; napari shows its text.

    """
    from napari import current_viewer

    from napari_resonance.viewer.attach import attach
    from napari_resonance.viewer.opening import open_layers

    viewer = current_viewer()
    if viewer is not None:
        attach(viewer)
    return list(open_layers([path] if isinstance(path, str) else path).layers)


def _may_be_scan(path: Path) -> bool:
    """Look at the name and, where it says nothing, at a file's first bytes."""
    name = path.name.lower()
    if name == "dicomdir" or name.endswith((".dcm", ".ima", ".nii", ".nii.gz")):
        return path.is_file()
    if name.endswith((".hdr", ".img")):
        # Other programs use these endings too; both files of a NIfTI or Analyze pair
        # have to be there.
        return path.with_suffix(".hdr").is_file() and path.with_suffix(".img").is_file()
    return _is_dicom(path)


def _is_dicom(path: Path) -> bool:
    # PS3.10 7.1: a preamble of 128 bytes, then "DICM".
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
