"""Small pictures of scans that are not open, and whom they show if that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.errors import ResonanceError
from napari_resonance.progress import ShouldStop

if TYPE_CHECKING:
    from napari_resonance.scan import Scan
    from napari_resonance.viewer.survey import Series, Study

SIDE = 72

# A larger archive is not unpacked only for its pictures.
_LARGEST_ARCHIVE = 1 << 28


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """What a scan looks like.

    Parameters
    ----------
    pixels
        uint8 ``(rows, columns, 3)``, at most `SIDE` a side; None if there is none.
    problem
        Why there is none, as a sentence; empty if there is one.

    """

    pixels: NDArray[np.uint8] | None
    problem: str = ""


def make_thumbnails(
    group: Sequence[Series], should_stop: ShouldStop
) -> list[Thumbnail]:
    """Return a picture of the middle slice of each scan that is read in one go.

    Of series with a file for each slice only the file in the middle is read.
    """
    from napari_resonance.reading import read_scans

    first = group[0]
    try:
        if first.archive is None:
            sources = first.outline.sources
            middle = sources[len(sources) // 2]
            scans = read_scans(middle, should_stop=should_stop, lazy_over=0)
            return [Thumbnail(picture_of(_like(first, scans)))]
        if first.archive.stat().st_size > _LARGEST_ARCHIVE:
            return [Thumbnail(None)] * len(group)
        scans = read_scans(first.archive, should_stop=should_stop)
        return [Thumbnail(picture_of(_like(series, scans))) for series in group]
    except (ResonanceError, OSError, IndexError) as error:
        reason = error.message if isinstance(error, ResonanceError) else str(error)
        return [Thumbnail(None, f"No picture: {reason}.")] * len(group)


def picture_of(scan: Scan) -> NDArray[np.uint8]:
    """Return the middle slice of a scan as uint8 RGB, drawn upright."""
    from napari_resonance.display import display_range
    from napari_resonance.export.overlay import grey_levels
    from napari_resonance.export.planes import (
        center_of,
        planes_through,
        sample_scan,
    )

    slice_ = _middle_slice(scan)
    (plane, *_) = planes_through(slice_, center_of(slice_), SIDE)
    values, covered = sample_scan(slice_, plane)
    limits = display_range(slice_, [values[covered]]) if not scan.color else (0, 0)
    pixels = 255 * grey_levels(values, covered, slice_, limits)
    pixels = np.where(covered[..., None], pixels, 0)
    return np.ascontiguousarray(pixels.astype(np.uint8))


def patient_of(study: Study) -> str:
    """Return whose study it is and when it was made, as its first file says.

    Empty where the file says nothing; of images that are no DICOM, their folder.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    first = study.series[0]
    source = first.outline.sources[0]
    if not first.outline.study:
        return source.parent.name
    if first.archive is not None:
        return first.archive.name
    tags = ["PatientName", "PatientID", "StudyDate", "StudyDescription"]
    try:
        header = dcmread(source, stop_before_pixels=True, specific_tags=tags)
    except (OSError, InvalidDicomError, ValueError):
        return ""
    found = (str(getattr(header, tag, None) or "") for tag in tags)
    return " · ".join(filter(None, found))


def _like(series: Series, scans: Sequence[Scan]) -> Scan:
    return next((scan for scan in scans if series.is_shown_by(scan)), scans[0])


def _middle_slice(scan: Scan) -> Scan:
    k = scan.grid_shape[2] // 2
    voxels: Any = scan.voxels[:, :, k : k + 1]
    if scan.n_times > 1:
        voxels = voxels[..., 0]
    shift = np.eye(4)
    shift[2, 3] = k
    return replace(scan, voxels=np.asarray(voxels), affine=scan.affine @ shift)
