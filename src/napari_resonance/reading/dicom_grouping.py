"""Which planes belong to one scan: a volume is never mixed from two.

First everything that makes planes incompatible parts them (series, frame of reference,
matrix, direction, ...). Then, only where planes share their place, the attributes of
`APART` part scans and those of `TIME` part the volumes of a time or diffusion series.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_resonance.reading.dicom_places import (
    SAME_PLACE_MM,
    by_depth,
    crowd_of,
    places_of,
    shift_between,
)
from napari_resonance.reading.dicom_time import (
    earliest,
    marks_of,
    parted,
    volumes_at_places,
    volumes_by_declaration,
)
from napari_resonance.reading.frame import APART, Frame, Vector

Drop = Callable[[Path, str], None]

# Direction cosines are written with as few as four digits.
_SAME_DIRECTION = 2e-3
# A part of the pixel size: a tenth of a pixel over five hundred.
_SAME_SPACING = 2e-4
_WORTH_SAYING_MM = 0.05
# Planes without a place make a stack only where the object is one of cross sections.
_CROSS_SECTIONS = {"CT", "MR", "PT"}


@dataclass(frozen=True)
class Group:
    """Planes of one scan: volumes in the order of time, all in one order of places."""

    volumes: tuple[tuple[Frame, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Frame:
        """A plane that stands for all."""
        return self.volumes[0][0]


def group_frames(frames: Iterable[Frame], drop: Drop) -> list[Group]:
    """Part planes into scans, in the order of series and instance numbers.

    Parameters
    ----------
    frames
        Planes of any number of series, in any order.
    drop
        Called for files whose planes end up in no scan, with the reason.

    """
    parts: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[_incompatible(frame)].append(frame)
    groups: list[Group] = []
    for part in parts.values():
        unique, notes = _without_copies(part, drop)
        for same in _by_geometry(unique):
            if same[0].is_placed:
                groups += _scans(same, notes, drop)
            else:
                groups += _unplaced(same, notes)
    return sorted(map(_with_notes_of_files, groups), key=_order)


def _with_notes_of_files(group: Group) -> Group:
    notes = (note for volume in group.volumes for f in volume for note in f.notes)
    return replace(group, notes=(*group.notes, *dict.fromkeys(notes)))


def _order(group: Group) -> tuple[Any, ...]:
    first = min((f for v in group.volumes for f in v), key=lambda f: f.instance)
    series = first.series
    return series.study, series.number, series.uid, first.instance, str(first.path)


def _incompatible(frame: Frame) -> Hashable:
    """Return what two planes of one volume always have in common."""
    series, encoding = frame.series, frame.encoding
    return (
        series.study,
        series.uid,
        series.modality,
        series.frame_of_reference,
        frame.rows,
        frame.columns,
        encoding.samples,
        encoding.photometric,
        frame.apart.get("kind"),
        frame.apart.get("stack"),
    )


def _without_copies(
    frames: list[Frame], drop: Drop
) -> tuple[list[Frame], tuple[str, ...]]:
    """Drop instances that were sent twice."""
    kept: dict[Hashable, Frame] = {}
    copies: set[Path] = set()
    for frame in sorted(frames, key=lambda f: (f.instance, str(f.path))):
        uid = frame.uid or str(frame.path)
        # Some anonymisers give all instances one identifier; their places differ.
        key = (uid, frame.instance, frame.tile, frame.position)
        if key in kept and kept[key].path != frame.path:
            copies.add(frame.path)
        else:
            kept[key] = frame
    for path in sorted(copies):
        drop(path, "a copy of an instance that was read already")
    notes = (f"{_count(len(copies), 'file')} sent twice, read once",) if copies else ()
    return list(kept.values()), notes


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _by_geometry(frames: list[Frame]) -> list[list[Frame]]:
    """Part planes that are turned otherwise or have other pixels, beyond rounding."""
    exact: dict[tuple[Vector, Vector, bool], list[Frame]] = defaultdict(list)
    for frame in frames:
        exact[frame.direction, frame.spacing, frame.is_placed].append(frame)
    parts: list[tuple[tuple[Vector, Vector, bool], list[Frame]]] = []
    for geometry, same in exact.items():
        alike = (part for known, part in parts if _is_alike(geometry, known))
        part = next(alike, None)
        if part is None:
            parts.append((geometry, same))
        else:
            part += same
    return [part for _, part in parts]


def _is_alike(
    one: tuple[Vector, Vector, bool], other: tuple[Vector, Vector, bool]
) -> bool:
    (turn, spacing, placed), (turn_, spacing_, placed_) = one, other
    if (len(turn), len(spacing), placed) != (len(turn_), len(spacing_), placed_):
        return False
    turned = max((abs(a - b) for a, b in zip(turn, turn_, strict=True)), default=0)
    scaled = (abs(a / b - 1) for a, b in zip(spacing, spacing_, strict=True))
    return turned < _SAME_DIRECTION and max(scaled, default=0) < _SAME_SPACING


def _scans(frames: list[Frame], notes: tuple[str, ...], drop: Drop) -> list[Group]:
    """Part planes of one direction until no two of a volume share a place."""
    crowd = crowd_of(frames)
    mosaics, by_time = _mosaics(frames), volumes_by_declaration(frames, crowd)
    if crowd == 1 and len(mosaics) < 2 and not by_time:
        return [Group((tuple(frames),), notes)]
    for name in APART:
        parts = parted(frames, (name,))
        # More parts than planes at one place: the attribute was measured plane by
        # plane, and tells nothing of volumes.
        if 1 < len(parts) <= crowd and _is_apart(name, parts, crowd):
            return [g for part in parts for g in _scans(part, notes, drop)]
    if len(mosaics) > 1:
        whole, copies = _without_repeats([tiles[0] for tiles in mosaics])
        volumes = [tiles for tiles in mosaics if tiles[0] in whole]
        return _time_series(volumes, (*notes, *_repeated(copies, drop)), drop)
    told_apart = by_time or volumes_at_places(frames, crowd)
    if told_apart is None:
        return [_by_rank(frames, notes, drop)]
    return _time_series(told_apart, notes, drop)


def _is_apart(name: str, parts: list[list[Frame]], crowd: int) -> bool:
    """Tell whether an attribute that may vary along the stack parts volumes."""
    if name != "thickness":
        return True
    return all(crowd_of(part) < crowd for part in parts)


def _mosaics(frames: list[Frame]) -> list[list[Frame]]:
    """Part the tiles of mosaics by file: each is a volume, whatever the others are."""
    parts: dict[Path, list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.tile is not None:
            parts[frame.path].append(frame)
    return sorted(parts.values(), key=earliest)


def _time_series(
    parts: list[list[Frame]], notes: tuple[str, ...], drop: Drop
) -> list[Group]:
    """Join volumes of one grid over time; others become scans of their own."""
    names = iter(places_of([f for part in parts for f in part]))
    grids: dict[frozenset[Hashable], list[list[Frame]]] = defaultdict(list)
    for part in parts:
        at = dict(sorted((next(names), n) for n in range(len(part))))
        if len(at) == len(part):
            grids[frozenset(at)].append([part[n] for n in at.values()])
        else:
            # Where places blur into one another, only the volume itself is its grid.
            grids[frozenset([id(part)])].append(part)
    whole = max(grids, key=lambda grid: (len(grids[grid]), len(grid)))
    cut = {g for g in grids if g < whole and len(grids[whole]) > 1}
    for grid in cut:
        lost = grids.pop(grid)
        paths = {f.path for volume in lost for f in volume}
        _drop_all(paths, "part of an incomplete volume of a time series", drop)
        what = f"{len(grid)} of {len(whole)} slices"
        notes = (*notes, f"{_count(len(lost), 'time point')} with {what} left out")
    return [_group(volumes, notes) for volumes in _joined(list(grids.values()))]


def _joined(grids: list[list[list[Frame]]]) -> list[list[list[Frame]]]:
    """Join grids that lie no farther apart than a patient moves."""
    joined: list[list[list[Frame]]] = []
    for volumes in grids:
        near = (
            others
            for others in joined
            if shift_between(others[0], volumes[0]) is not None
        )
        others = next(near, None)
        if others is None:
            joined.append(list(volumes))
        else:
            others += volumes
    return joined


def _group(volumes: list[list[Frame]], notes: tuple[str, ...]) -> Group:
    """Make a scan of volumes in the order of time, and say how far they moved."""
    volumes = sorted(volumes, key=earliest)
    moved = max(shift_between(volumes[0], v) or 0.0 for v in volumes)
    if moved > SAME_PLACE_MM:
        volumes = [by_depth(volume) for volume in volumes]
    if moved > _WORTH_SAYING_MM:
        how = f"its volumes moved by up to {moved:.2f} mm"
        notes = (*notes, f"{how}; all are placed as the first is")
    return Group(tuple(map(tuple, volumes)), notes)


def _drop_all(paths: set[Path], reason: str, drop: Drop) -> None:
    for path in sorted(paths):
        drop(path, reason)


def _by_rank(frames: list[Frame], notes: tuple[str, ...], drop: Drop) -> Group:
    """Make volume r of the r-th plane at each place, in the order of storage."""
    at: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame, name in zip(frames, places_of(frames), strict=True):
        at[name].append(frame)
    distinct = [_without_repeats(stack) for stack in at.values()]
    stacks = [stack for stack, _ in distinct]
    copies = {path for _, repeats in distinct for path in repeats}
    notes = (*notes, *_repeated(copies, drop))
    n_volumes = min(map(len, stacks))
    extra = {f.path for stack in stacks for f in stack[n_volumes:]}
    if extra:
        _drop_all(extra, "one of several images at the same place", drop)
        why = "other images of the series lie at the same place"
        notes = (*notes, f"{_count(len(extra), 'file')} left out: {why}")
    elif n_volumes > 1:
        notes = (*notes, "its volumes are told apart by instance number only")
    volumes = tuple(tuple(stack[r] for stack in stacks) for r in range(n_volumes))
    return Group(volumes, notes)


def _without_repeats(frames: list[Frame]) -> tuple[list[Frame], set[Path]]:
    """Keep one of the planes that agree in their number and all else that is known."""
    kept: dict[Hashable, Frame] = {}
    repeats: set[Path] = set()
    for frame in sorted(frames, key=lambda f: (marks_of(f, ("temporal",)), f.instance)):
        # A series that lost its instance numbers may still hold several volumes.
        number = frame.instance if frame.instance[0] >= 0 else str(frame.path)
        key = (number, *marks_of(frame, tuple(frame.apart | frame.time)))
        if kept.setdefault(key, frame) is not frame:
            repeats.add(frame.path)
    return list(kept.values()), repeats


def _repeated(copies: set[Path], drop: Drop) -> tuple[str, ...]:
    if not copies:
        return ()
    _drop_all(copies, "a copy of a slice that was read already", drop)
    return (f"{_count(len(copies), 'file')} with slices sent twice left out",)


def _unplaced(frames: list[Frame], notes: tuple[str, ...]) -> list[Group]:
    """Stack cross sections without a place by number; other images stand alone."""
    if not frames:
        return []
    by_file: dict[Path, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_file[frame.path].append(frame)
    # One image a file, or all images in one file: the slices of a volume.
    if frames[0].series.modality in _CROSS_SECTIONS and len(by_file) in (
        1,
        len(frames),
    ):
        return [_numbered_stack(frames, notes)]
    groups = []
    for films in by_file.values():
        films.sort(key=lambda f: f.index)
        groups.append(Group(tuple((f,) for f in films), notes))
    return groups


def _numbered_stack(frames: list[Frame], notes: tuple[str, ...]) -> Group:
    locations = {f.location for f in frames}
    if None not in locations and len(locations) == len(frames):
        frames.sort(key=lambda f: f.location or 0.0)
        by = "slice location"
    else:
        frames.sort(key=lambda f: (f.instance, str(f.path)))
        by = "instance number" if len({f.path for f in frames}) > 1 else "frame number"
    if len(frames) == 1:
        return Group((tuple(frames),), notes)
    note = f"its images give no position; they are stacked by {by}"
    return Group((tuple(frames),), (*notes, note))
