"""Files -> layers, without a viewer: what reader, panel and commands share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.memory import available_memory
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.scan import Scan
from napari_resonance.viewer.kept_answers import with_kept_answers
from napari_resonance.viewer.layers import LayerData, scan_layer
from napari_resonance.viewer.records import KEY

# Larger scans are read plane by plane while they are scrolled through.
_READ_AT_ONCE = 1 << 30


@dataclass(frozen=True, eq=False)
class Opened:
    """What was found in files and folders.

    Parameters
    ----------
    layers
        One for each scan.
    skipped
        Source and reason of what was left out.

    """

    layers: tuple[LayerData, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def summary(self) -> str:
        """One sentence: how many scans, and what was left out."""
        n = len(self.layers)
        said = f"{n} scan{'' if n == 1 else 's'} opened."
        if self.skipped:
            first = self.skipped[0]
            more = f" and {len(self.skipped) - 1} more" if len(self.skipped) > 1 else ""
            said += f" Left out: {Path(first[0]).name}{more} ({first[1]})."
        return said


def open_layers(
    paths: Iterable[str | PathLike[str]],
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> Opened:
    """Read every scan in files and folders as napari layers.

    Raises
    ------
    ReadError
        If a named file cannot be read, or nothing in a folder is a scan.
    CancelledError
        If `should_stop` said so.

    """
    progress(0, 0, "Reading the files")
    from napari_resonance.reading import read_scans

    sources = [Path(p) for p in paths]
    skipped: list[tuple[str, str]] = []

    def note(source: object, reason: str) -> None:
        skipped.append((str(source), reason))

    scans = read_scans(
        sources, on_skip=note, should_stop=should_stop, lazy_over=lazy_over()
    )
    if not scans:
        raise nothing_found(sources, skipped)
    return Opened(layers_of(scans, progress, should_stop), tuple(skipped))


def layers_of(
    scans: Sequence[Scan], progress: Progress, should_stop: ShouldStop
) -> tuple[LayerData, ...]:
    """Return the layers of scans that were read.

    Raises
    ------
    CancelledError
        If `should_stop` said so.

    """
    layers = []
    for n, scan in enumerate(scans):
        if should_stop():
            raise CancelledError("opening was stopped")
        progress(n, len(scans), "Preparing the view")
        data, settings, kind = scan_layer(_showable(scan))
        metadata = settings["metadata"]
        metadata[KEY] = with_kept_answers(metadata[KEY])
        layers.append((data, settings, kind))
    return tuple(layers)


def lazy_over() -> int:
    """Return how large a scan may be to be read before it is shown."""
    return min(_READ_AT_ONCE, available_memory() // 4)


def _showable(scan: Scan) -> Scan:
    """Return the scan, read at once if the view would cut through all its planes."""
    if (
        not scan.is_lazy
        or scan.color
        or scan.orientation is None
        or scan.orientation[2] in "IS"
    ):
        return scan
    lazy = scan.voxels.T
    voxels = np.empty(lazy.shape, lazy.dtype)
    for at in np.ndindex(lazy.shape[:-2]):
        voxels[at] = np.asarray(lazy[at])
    return replace(scan, voxels=voxels.T)


def nothing_found(
    sources: Sequence[Path], skipped: Sequence[tuple[str, str]]
) -> ReadError:
    """Return the error for files and folders without a scan."""
    reason = f" ({skipped[0][1]})" if skipped else ""
    return ReadError(
        f"no scan was found here{reason}",
        source=sources[0] if len(sources) == 1 else None,
        remedy="Choose DICOM or NIfTI files, or a folder that holds some",
    )
