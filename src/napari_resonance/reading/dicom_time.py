"""Which attribute tells the volumes of a time or diffusion series apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

from napari_resonance.reading.dicom_places import (
    crowd_of,
    is_crumpled,
    places_of,
    shift_between,
)
from napari_resonance.reading.frame import Frame

# Attributes that number the volumes of a series, the most reliable first.
_TIME_KEYS: tuple[tuple[str, ...], ...] = (
    ("temporal",),
    ("b_value", "gradient"),
    ("trigger",),
    ("reference",),
    ("acquisition",),
    ("b_value", "gradient", "temporal"),
    ("b_value", "gradient", "acquisition"),
    ("temporal", "trigger"),
    ("temporal", "acquisition"),
    ("clock",),
)


def volumes_by_declaration(frames: list[Frame], crowd: int) -> list[list[Frame]]:
    """Part planes into volumes that are declared, or that moved; else nothing.

    Unlike `volumes_at_places`, this holds where volumes do not share their places.
    """
    if found := _declared_volumes(frames) or _volumes_of_files(frames):
        return found
    if crowd == 1:
        is_odd = is_crumpled(frames)
    else:
        is_odd = len(set(places_of(frames))) * crowd != len(frames)
    return _moved_volumes(frames) if is_odd else []


def _declared_volumes(frames: list[Frame]) -> list[list[Frame]]:
    """Part planes by temporal position, if that makes volumes of one size.

    It is the one attribute that says outright which volume a plane belongs to, and
    holds even where the patient or the table moved in between.
    """
    parts = parted(frames, ("temporal",))
    sizes = {len(part) for part in parts}
    if len(parts) < 2 or len(sizes) > 1 or min(sizes) < 2:
        return []
    return [] if any(crowd_of(part) > 1 for part in parts) else parts


def _volumes_of_files(frames: list[Frame]) -> list[list[Frame]]:
    """Part the frames of multi-frame images by file, if each holds the same volume."""
    if any(f.encoding.frames == 1 for f in frames):
        return []
    parts: dict[Path, list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[frame.path].append(frame)
    marks = ("temporal", "acquisition", "clock")
    first, *others = sorted(
        parts.values(), key=lambda p: (earliest(p), marks_of(p[0], marks))
    )
    if not others or any(crowd_of(part) > 1 for part in (first, *others)):
        return []
    apart = [shift_between(first, part) is None for part in others]
    return [] if any(apart) else [first, *others]


def _moved_volumes(frames: list[Frame]) -> list[list[Frame]]:
    """Part planes by the attribute that leaves equal volumes a little way apart."""
    for names in _TIME_KEYS:
        parts = parted(frames, names)
        if len(parts) < 2 or any(crowd_of(part) > 1 for part in parts):
            continue
        if all(shift_between(parts[0], part) is not None for part in parts[1:]):
            return parts
    return []


def volumes_at_places(frames: list[Frame], crowd: int) -> list[list[Frame]] | None:
    """Find the attribute that tells the volumes apart, None if there is none."""
    loose = None
    for names in _TIME_KEYS:
        parts = parted(frames, names)
        if len(parts) < 2 or any(crowd_of(part) > 1 for part in parts):
            continue
        if len(parts) == crowd:
            return parts
        if loose is None and len(parts) <= 2 * crowd and min(map(len, parts)) > 1:
            loose = parts
    return loose


def parted(frames: Iterable[Frame], names: tuple[str, ...]) -> list[list[Frame]]:
    """Part planes by attributes, in the order in which they were stored."""
    parts: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[marks_of(frame, names)].append(frame)
    return sorted(parts.values(), key=lambda p: (earliest(p), marks_of(p[0], names)))


def earliest(frames: Iterable[Frame]) -> tuple[float, int]:
    """Return the lowest number of an instance and of a frame in it."""
    return min(f.instance for f in frames)


def marks_of(frame: Frame, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of attributes, as texts that sort like the values."""
    return tuple(_padded((frame.apart | frame.time).get(name)) for name in names)


def _padded(value: Any) -> str:
    """Return a text that sorts as the numbers in it do."""
    numbers = value if isinstance(value, tuple) else (value,)
    return "/".join(f"{n:+020.6f}" if isinstance(n, float) else str(n) for n in numbers)
