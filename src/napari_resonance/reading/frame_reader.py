"""The planes of many files, most of which are like the file before.

pydicom parses the first file of each kind and is the judge of what is in it. A file
whose header has the same build and the same values, but for those that number and place
a plane, is described after it; every other file goes to pydicom in its turn.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from napari_resonance.reading.dicom_encoding import Encoding, holds
from napari_resonance.reading.dicom_frames import (
    TAGS,
    TIME_TAGS,
    checked_position,
    frames_in,
    instance_number,
    is_plain,
    marks_of_time,
    notes_of_slope,
    scale_of,
    stand_in_series,
)
from napari_resonance.reading.dicom_header import (
    Header,
    Opened,
    dictionary_kind,
    numbers_of,
    open_header,
    tag_of,
    texts_of,
)
from napari_resonance.reading.dicom_scanner import HeaderScanner, Layout, Scanned
from napari_resonance.reading.frame import Frame

_SYNTAX = 0x00020010
_UID = 0x00080018
_INSTANCE = 0x00200013
_POSITION = 0x00200032
_LOCATION = 0x00201041
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053


class FrameReader:
    """Describes the planes of one file after another."""

    def __init__(self) -> None:
        self._wanted = frozenset(map(tag_of, TAGS))
        self._times = frozenset(map(tag_of, TIME_TAGS))
        own = {_UID, _INSTANCE, _POSITION, _LOCATION, _INTERCEPT, _SLOPE}
        self._own = own | self._times
        self._scanner = HeaderScanner(self._wanted | {_SYNTAX})
        self._known: dict[Hashable, Frame] = {}
        self._encodings: dict[Hashable, Encoding] = {}
        self._marks: dict[Hashable, dict[str, Any]] = {}

    def frames_of(self, path: Path) -> list[Frame]:
        """Describe the planes of a file, as `dicom_frames.frames_of` does.

        Raises
        ------
        ReadError
            If it is no DICOM image, is damaged, or its planes cannot be told apart.

        """
        scanned = self._scanner.scan(path)
        if scanned is not None:
            like = self._known.get(self._key(scanned))
            if like is not None and holds(like.encoding, scanned.size - scanned.start):
                return [self._described(path, scanned, like)]
        opened = open_header(path, TAGS)
        frames = frames_in(opened)
        if len(frames) == 1 and is_plain(opened.header):
            self._learn(opened, frames[0])
        return frames

    def _key(self, scanned: Scanned) -> Hashable:
        """Return all that two files have in common that are described alike."""
        own = self._own
        common = [v for tag, v in scanned.values.items() if tag not in own]
        return scanned.layout, *common

    def _learn(self, opened: Opened, frame: Frame) -> None:
        """Remember a plane, if the scanner sees in its file what pydicom saw."""
        scanned = self._scanner.learn(opened.path)
        if scanned is None or frame.encoding.start != scanned.start:
            return
        raw = _Values(scanned.layout, scanned.values)
        if raw.syntax == opened.transfer_syntax and all(
            _is_same(raw.value(tag) or b"", _stored(opened, tag))
            for tag in self._wanted
        ):
            self._known[self._key(scanned)] = frame

    def _described(self, path: Path, scanned: Scanned, like: Frame) -> Frame:
        raw, values = _Values(scanned.layout, scanned.values), scanned.values
        position, location, number = like.position, like.location, like.instance[0]
        slope, intercept, uid, time = like.slope, like.intercept, like.uid, like.time
        series, notes = like.series, like.notes
        if _POSITION in values:
            position = checked_position(raw.numbers(_POSITION))
        if _INSTANCE in values:
            number = instance_number(raw.numbers(_INSTANCE))
        if _UID in values:
            uid = "\\".join(texts_of(values[_UID]))
        if _LOCATION in values:
            location = next(iter(raw.numbers(_LOCATION)), None)
        if _SLOPE in values or _INTERCEPT in values:
            slope, intercept = scale_of(raw.numbers(_SLOPE), raw.numbers(_INTERCEPT))
            notes = notes_of_slope(raw.numbers(_SLOPE))
        if series.uid == stand_in_series(like.path):
            series = replace(series, uid=stand_in_series(path))
        if not self._times.isdisjoint(values):
            time = self._time(raw)
        return Frame(
            path=path,
            encoding=self._encoding(like.encoding, scanned.start),
            index=0,
            tile=None,
            rows=like.rows,
            columns=like.columns,
            position=position,
            direction=like.direction,
            spacing=like.spacing,
            step=like.step,
            location=location,
            slope=slope,
            intercept=intercept,
            series=series,
            apart=like.apart,
            time=time,
            instance=(number, 0),
            uid=uid,
            notes=notes,
        )

    def _time(self, raw: _Values) -> dict[str, Any]:
        differing = [v for tag, v in raw.values.items() if tag in self._times]
        key = (raw.layout, len(raw.layout.differing), *differing)
        found = self._marks.get(key)
        if found is None:
            found = self._marks[key] = marks_of_time(Header([cast("Any", raw)]))
        return found

    def _encoding(self, encoding: Encoding, start: int) -> Encoding:
        if encoding.start == start:
            return encoding
        key = id(encoding), start
        found = self._encodings.get(key)
        if found is None:
            found = self._encodings[key] = replace(encoding, start=start)
        return found


class _Element(NamedTuple):
    """An element as `Header` takes it from pydicom, not decoded."""

    value: bytes
    VR: str
    is_little_endian: bool = True


class _Values:
    """The values of one scanned header, undecoded."""

    __slots__ = ("layout", "values")

    def __init__(self, layout: Layout, values: Mapping[int, bytes]) -> None:
        self.layout, self.values = layout, values

    def value(self, tag: int) -> bytes | None:
        """Return the bytes of a value, None where the element is absent."""
        value = self.values.get(tag)
        return self.layout.value(tag) if value is None else value

    @property
    def syntax(self) -> str:
        """Transfer syntax UID."""
        return "\\".join(texts_of(self.value(_SYNTAX) or b""))

    def kind(self, tag: int) -> str:
        """Return a value representation, where need be that of the standard."""
        kind = self.layout.kinds.get(tag, "")
        return dictionary_kind(tag) if kind in ("", "UN") else kind

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return finite numbers, as `Header.numbers` does."""
        value = self.value(tag)
        return numbers_of(value, self.kind(tag), True) if value else ()

    def get_item(self, tag: int) -> _Element | None:
        """Return an element as pydicom's Dataset does."""
        value = self.value(tag)
        return None if value is None else _Element(value, self.kind(tag))


def _stored(opened: Opened, tag: int) -> Any:
    element: Any = opened.dataset.get_item(tag)
    return b"" if element is None or element.value is None else element.value


def _is_same(scanned: bytes, parsed: Any) -> bool:
    """Compare bytes with an element that pydicom may have decoded already."""
    if isinstance(parsed, bytes):
        return scanned == parsed
    return texts_of(scanned) == texts_of(parsed)
