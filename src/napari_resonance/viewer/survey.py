"""Files -> what they hold, by study and series, before any voxels are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_resonance.errors import ReadError
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.viewer.naming import scan_name, size_of
from napari_resonance.viewer.opening import (
    Opened,
    layers_of,
    lazy_over,
    nothing_found,
    open_layers,
)

if TYPE_CHECKING:
    from napari_resonance.reading.outline import Outline
    from napari_resonance.scan import Scan

# So many files that were chosen one by one are all opened without asking again.
_OPENED_UNASKED = 4

# Of one patient, in mm: places that differ by less are the same.
_SAME_PLACE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Series:
    """One scan that can be opened.

    Parameters
    ----------
    outline
        All that is known of it without its voxels.
    archive
        The archive that holds it, which has to be unpacked for it; None for files.

    """

    outline: Outline
    archive: Path | None = None

    @property
    def title(self) -> str:
        """What its layer will be called."""
        return scan_name(self.outline)

    @property
    def facts(self) -> str:
        """Modality and size, and in a second line the distance between voxels."""
        size, steps = size_of(self.outline)
        # Tells the echoes of one series apart, which have all else in common.
        echo = self.outline.meta.get("echo_time_ms")
        time = "" if echo is None else f"TE {echo:.3g} ms"
        made = " · ".join(filter(None, (self.outline.modality, size, time)))
        return f"{made}\n{steps}"

    def is_shown_by(self, scan: Scan) -> bool:
        """Tell whether a scan is the one that was described."""
        return (
            scan.series == self.outline.series
            and scan.shape == self.outline.shape
            and bool(
                np.allclose(
                    scan.affine, self.outline.affine, rtol=0, atol=_SAME_PLACE_MM
                )
            )
        )


@dataclass(frozen=True, eq=False)
class Study:
    """What belongs together: a DICOM study, or the images of one folder.

    Parameters
    ----------
    series
        Its scans, in the order in which they are read; at least one.
    number
        Counts the studies from 1: what it is called while names are hidden.

    """

    series: tuple[Series, ...]
    number: int

    @property
    def title(self) -> str:
        """How many scans it has, and of which modalities; never whom they show."""
        n = len(self.series)
        kinds = sorted({s.outline.modality for s in self.series} - {""})
        count = f"{n} scan{'' if n == 1 else 's'}"
        kind = "Study" if self.series[0].outline.study else "Folder"
        return " · ".join(
            filter(None, (f"{kind} {self.number}", ", ".join(kinds), count))
        )


@dataclass(frozen=True, eq=False)
class Survey:
    """What several scans to choose from are.

    Parameters
    ----------
    studies
        At least one.
    skipped
        Source and reason of what is no scan.

    """

    studies: tuple[Study, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def series(self) -> tuple[Series, ...]:
        """All scans of all studies."""
        return tuple(s for study in self.studies for s in study.series)


def look_through(
    paths: Iterable[str | PathLike[str]],
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> Opened | Survey:
    """Open the scan in files and folders, or say which ones there are to choose from.

    Raises
    ------
    ReadError
        If a named file cannot be read, or nothing in a folder is a scan.
    CancelledError
        If `should_stop` said so.

    """
    progress(0, 0, "Looking through the files")
    from napari_resonance.reading import outline_scans

    sources = [Path(p) for p in paths]
    skipped: list[tuple[str, str]] = []
    outlines = outline_scans(
        sources,
        on_skip=lambda source, reason: skipped.append((str(source), reason)),
        should_stop=should_stop,
    )
    if not outlines:
        raise nothing_found(sources, skipped)
    picked = len(outlines) == len(sources) <= _OPENED_UNASKED
    if len(outlines) == 1 or (picked and all(p.is_file() for p in sources)):
        return open_layers(sources, progress, should_stop)
    return Survey(_studies(outlines), tuple(skipped))


def load_series(
    chosen: Sequence[Series],
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> Opened:
    """Read chosen scans as napari layers.

    Raises
    ------
    ReadError
        If one of them cannot be read, or is not there any more.
    CancelledError
        If `should_stop` said so.

    """
    from napari_resonance.reading import read_scans

    scans: list[Scan] = []
    skipped: list[tuple[str, str]] = []
    for n, group in enumerate(together(chosen)):
        progress(n, len(chosen), f"Reading {group[0].title}")
        sources = group[0].outline.sources if group[0].archive is None else ()
        read = read_scans(
            sources or [group[0].archive or ""],
            on_skip=lambda source, reason: skipped.append((str(source), reason)),
            should_stop=should_stop,
            lazy_over=lazy_over(),
        )
        for series in group:
            scans.append(_shown_in(series, read))
    return Opened(layers_of(scans, progress, should_stop), tuple(skipped))


def together(series: Sequence[Series]) -> list[list[Series]]:
    """Group what is read in one go: all of an archive, else each scan by itself."""
    groups: dict[object, list[Series]] = {}
    for one in series:
        groups.setdefault(one.archive or one, []).append(one)
    return list(groups.values())


def _shown_in(series: Series, scans: Sequence[Scan]) -> Scan:
    for scan in scans:
        if series.is_shown_by(scan):
            return scan
    if len(scans) == 1:
        return scans[0]
    raise ReadError(
        f"{series.title} is not as it was when the folder was looked through",
        source=series.archive or series.outline.sources[0].parent,
        remedy="Open the folder again",
    )


def _studies(outlines: Sequence[Outline]) -> tuple[Study, ...]:
    groups: dict[object, list[Series]] = {}
    for outline in outlines:
        series = Series(outline, _archive_of(outline.sources[0]))
        groups.setdefault(outline.study or outline.sources[0].parent, []).append(series)
    return tuple(
        Study(tuple(group), n) for n, group in enumerate(groups.values(), start=1)
    )


def _archive_of(source: Path) -> Path | None:
    """Return the archive that a source such as ``a.zip/inner/path`` lies in."""
    if source.exists():
        return None
    return next((parent for parent in source.parents if parent.is_file()), None)
