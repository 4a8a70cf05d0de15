"""DICOM files in, Scans out: headers first, then groups, grids, and pixels last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_resonance.errors import (
    CancelledError,
    DependencyError,
    GeometryError,
    ReadError,
    ResonanceError,
)
from napari_resonance.progress import ShouldStop
from napari_resonance.reading.dicom_decoding import through_lut
from napari_resonance.reading.dicom_frames import is_enhanced
from napari_resonance.reading.dicom_geometry import (
    Planes,
    Stack,
    separate_stacks,
    stack_planes,
)
from napari_resonance.reading.dicom_grouping import Group, group_frames
from napari_resonance.reading.dicom_header import Header, open_header, quiet
from napari_resonance.reading.dicom_meta import meta_of
from napari_resonance.reading.dicom_pixels import PixelError, Scaling
from napari_resonance.reading.dicom_spacing import flat_spacing
from napari_resonance.reading.discover import OnSkip
from napari_resonance.reading.frame import Frame
from napari_resonance.reading.frame_reader import FrameReader
from napari_resonance.reading.functional_groups import frame_header
from napari_resonance.reading.lazy import arranged, lazy_array
from napari_resonance.reading.outline import Outline
from napari_resonance.reading.volumes import Volumes
from napari_resonance.scan import Scan

# Damaged files are left out of a series once; if it still fails, it is refused.
_ATTEMPTS = 2


@dataclass(frozen=True)
class Plan:
    """One scan before its pixels are read: planes by time point, and their grid."""

    volumes: tuple[tuple[Frame, ...], ...]
    stack: Stack
    oriented: bool
    warnings: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the scan, each once."""
        return tuple(dict.fromkeys(f.path for v in self.volumes for f in v))


def read_dicom(
    paths: Iterable[Path],
    named: set[Path],
    on_skip: OnSkip,
    should_stop: ShouldStop,
    lazy_over: int | None = None,
) -> list[Scan]:
    """Read all scans that DICOM files hold.

    Parameters
    ----------
    paths
        Files of any number of series, in any order.
    named
        Those among them that must be readable.
    on_skip
        Called for a file that is left out, with the reason.
    should_stop
        Asked before each file is opened, and again before its pixels are read.
    lazy_over
        As of `read_scans`.

    Returns
    -------
    list of Scan
        In the order of study, series number and instance number.

    Raises
    ------
    ReadError
        If a named file is no image or cannot be read.
    DependencyError
        If a decoder is missing.
    CancelledError
        If `should_stop` returned True.

    """
    with quiet:
        plans = _plans(paths, named, on_skip, should_stop)
        read = partial(_scan, should_stop=should_stop, lazy_over=lazy_over)
        return [s for p in plans for s in _loaded(p, named, on_skip, read)]


def outline_dicom(
    paths: Iterable[Path],
    named: set[Path],
    on_skip: OnSkip,
    should_stop: ShouldStop,
) -> list[tuple[Outline, Plan]]:
    """Describe all scans that DICOM files hold from their headers, without pixels.

    Parameters, order and errors are those of `read_dicom`. `read_plan` reads one.
    """
    outlines = []
    with quiet:
        for plan in _plans(paths, named, on_skip, should_stop):
            try:
                outlines.append((_outline(plan, _header_of(plan)), plan))
            except (ReadError, GeometryError) as error:
                _refuse(plan.paths, error, named, on_skip)
    return outlines


def read_plan(
    plan: Plan, named: set[Path], on_skip: OnSkip, should_stop: ShouldStop
) -> list[Scan]:
    """Read the pixels of a scan; several where those that are damaged part it."""
    read = partial(_scan, should_stop=should_stop, lazy_over=None)
    with quiet:
        return list(_loaded(plan, named, on_skip, read))


def _plans(
    paths: Iterable[Path],
    named: set[Path],
    on_skip: OnSkip,
    should_stop: ShouldStop,
) -> list[Plan]:
    """Read all headers, and plan the scans that their planes make."""
    frames: list[Frame] = []
    reader = FrameReader()
    for path in paths:
        if should_stop():
            raise CancelledError("reading was stopped", source=path)
        try:
            frames += reader.frames_of(path)
        except ReadError as error:
            if path in named:
                raise
            on_skip(path, error.message)
    plans: list[Plan] = []
    for group in group_frames(frames, on_skip):
        try:
            plans += plans_of(group)
        except (ReadError, GeometryError) as error:
            files = {f.path for v in group.volumes for f in v}
            _refuse(sorted(files), error, named, on_skip)
    return plans


def plans_of(group: Group) -> list[Plan]:
    """Give each stack of a group its grid."""
    if not group.first.is_placed:
        return [_flat_plan(group)]
    if group.first.encoding.color and len(group.volumes) > 1:
        # A Scan has no axis left for the time of colour volumes.
        parts = [Group((volume,), group.notes) for volume in group.volumes]
        return [plan for part in parts for plan in plans_of(part)]
    planes = _planes(group.volumes[0])
    stacks = separate_stacks(planes)
    notes = group.notes
    if len(stacks) > 1:
        notes = (
            *notes,
            f"its series holds {len(stacks)} stacks, read as so many scans",
        )
    plans = []
    for numbers in stacks:
        stack = stack_planes(_planes([group.volumes[0][n] for n in numbers]))
        chosen = [[volume[n] for n in numbers] for volume in group.volumes]
        volumes = tuple(tuple(volume[n] for n in stack.order) for volume in chosen)
        plans.append(Plan(volumes, stack, True, (*notes, *stack.warnings)))
    return plans


def _planes(frames: Iterable[Frame]) -> Planes:
    frames = list(frames)
    first = frames[0]
    positions = np.array([f.position for f in frames], np.float64)
    return Planes(positions, first.direction, first.spacing, first.step)


def _flat_plan(group: Group) -> Plan:
    """Plan for images that do not say where they lie."""
    first = group.first
    header = open_header(first.path).header
    spacing, notes = flat_spacing(header, first)
    if is_enhanced(header):
        notes = (*notes, "its header lacks what would place its frames")
    n_planes = len(group.volumes[0])
    affine = np.diag([spacing[1], spacing[0], first.step or 1.0, 1.0])
    stack = Stack(
        order=tuple(range(n_planes)),
        at=tuple(float(n) for n in range(n_planes)),
        n_planes=n_planes,
        affine=affine,
    )
    return Plan(group.volumes, stack, False, (*group.notes, *notes))


def _loaded(
    plan: Plan, named: set[Path], on_skip: OnSkip, read: Callable[[Plan], Scan]
) -> Iterator[Scan]:
    """Read the pixels of a plan, without the files that turn out to be damaged."""
    waiting = [plan]
    for attempt in range(_ATTEMPTS):
        again: list[Plan] = []
        for current in waiting:
            try:
                yield read(current)
            except PixelError as error:
                if named & error.failed.keys():
                    raise
                for path, reason in error.failed.items():
                    on_skip(path, f"its pixels cannot be decoded: {reason}")
                if attempt + 1 < _ATTEMPTS:
                    again += _without(current, error.failed.keys())
            except (ReadError, GeometryError, DependencyError) as error:
                _refuse(current.paths, error, named, on_skip)
        waiting = again


def _refuse(
    paths: Iterable[Path], error: ResonanceError, named: set[Path], on_skip: OnSkip
) -> None:
    """Raise for a named file; leave out all files of the scan otherwise."""
    for path in paths:
        if path in named and isinstance(error, GeometryError):
            raise ReadError(error.message, source=path) from error
        if path in named:
            raise error
        remedy = f". {error.remedy}" if isinstance(error, DependencyError) else ""
        on_skip(path, f"{error.message}{remedy}")


def _without(plan: Plan, damaged: Iterable[Path]) -> list[Plan]:
    """Plan again without damaged files; nothing if a time series lost some."""
    gone = set(damaged)
    left = [tuple(f for f in v if f.path not in gone) for v in plan.volumes]
    whole = [v for v in left if len(v) == len(plan.volumes[0])]
    note = f"{len(gone)} damaged file{'' if len(gone) == 1 else 's'} left out"
    if len(plan.volumes) == 1 and left[0] and plan.oriented:
        return plans_of(Group((left[0],), (note,)))
    return plans_of(Group(tuple(whole), (note,))) if whole else []


def _scan(plan: Plan, should_stop: ShouldStop, lazy_over: int | None) -> Scan:
    volumes, header = Volumes.of(plan.volumes, plan.stack), _header_of(plan)
    # What a look-up table makes of the voxels is known when all of them are.
    has_table = bool(header.items("ModalityLUTSequence"))
    if lazy_over is not None and volumes.n_bytes > lazy_over and not has_table:
        return _scan_of(plan, header, lazy_array(volumes))
    planes, _ = through_lut(volumes.load(should_stop), header)
    return _scan_of(plan, header, arranged(planes))


def _scan_of(plan: Plan, header: Header, voxels: Any) -> Scan:
    outline = _outline(plan, header)
    scaling = Scaling.of(f for v in plan.volumes for f in v)
    return Scan(
        voxels=voxels,
        slope=scaling.slope,
        intercept=scaling.intercept,
        **{
            f.name: getattr(outline, f.name)
            for f in fields(outline)
            if f.name not in ("shape", "n_bytes")
        },
    )


def _header_of(plan: Plan) -> Header:
    first = plan.volumes[0][0]
    return frame_header(open_header(first.path).header, first.index)


def _outline(plan: Plan, header: Header) -> Outline:
    """Describe the scan that a plan will make; `header` is that of its first plane."""
    first, n_times = plan.volumes[0][0], len(plan.volumes)
    shape: tuple[int, ...] = (first.columns, first.rows, plan.stack.n_planes)
    voxel, notes = through_lut(np.zeros((1, 1), first.encoding.dtype), header)
    n_bytes = Volumes.of(plan.volumes, plan.stack).n_bytes
    if first.encoding.color:
        shape = (*shape[:2], shape[2] * n_times, 3)
        if n_times > 1:
            note = "its third axis counts the pictures of a colour film, not places"
            notes = (*notes, note)
    elif n_times > 1:
        shape = (*shape, n_times)
    return Outline(
        shape=shape,
        affine=plan.stack.affine,
        modality=first.series.modality,
        color=first.encoding.color,
        oriented=plan.oriented,
        study=first.series.study,
        series=first.series.uid,
        sources=plan.paths,
        meta={**meta_of(header), **_over_time(plan)},
        warnings=(*plan.warnings, *notes),
        n_bytes=n_bytes * voxel.itemsize // first.encoding.dtype.itemsize,
    )


def _over_time(plan: Plan) -> dict[str, Any]:
    """Diffusion weighting of each volume, where volumes differ in it."""
    values = [v[0].time.get("b_value") for v in plan.volumes]
    if len(values) < 2 or not all(values):
        return {}
    return {"diffusion_b_values": tuple(float(b[0]) for b in values if b)}
