"""Where the compressed frames of a file lie, found once per file."""

from __future__ import annotations

from itertools import pairwise
from typing import IO

from napari_resonance.reading.codestream import checked_stream
from napari_resonance.reading.dicom_encoding import Encoding
from napari_resonance.reading.dicom_header import DamagedError

# JPEG, JPEG-LS and JPEG 2000 end with this mark, and perhaps some padding.
_END_OF_IMAGE, _PADDED_END = b"\xff\xd9", 10
_ITEM_HEADER = 8


class Fragments:
    """The compressed frames of one open file (PS3.5 A.4), read one at a time.

    Items are taken by their lengths. Looking for the mark of their end instead, as a
    parser of the whole file does, stops too early where compressed bytes resemble it.

    Parameters
    ----------
    file
        The file; it stays the caller's.
    encoding
        What its header says.

    Raises
    ------
    ValueError
        If its items cannot be told apart.

    """

    def __init__(self, file: IO[bytes], encoding: Encoding) -> None:
        from pydicom.encaps import parse_basic_offsets, parse_fragments

        self._file = file
        self._encoding = encoding
        file.seek(encoding.start or 0)
        offsets = parse_basic_offsets(file)
        start = file.tell()
        if offsets and (len(offsets) == 1 or all(a < b for a, b in pairwise(offsets))):
            self._starts = [start + offset for offset in offsets]
            return
        count, starts = parse_fragments(file)
        if count in (1, encoding.frames):
            self._starts = starts
        elif encoding.frames == 1:
            self._starts = starts[:1]
        else:
            self._starts = self._after_ends(starts)

    def __len__(self) -> int:
        """Return the number of frames that were found."""
        return len(self._starts)

    def stream(self, index: int) -> bytes:
        """Return the compressed bytes of a frame, by its number from 0.

        Raises
        ------
        DamagedError
            If it is not there, or claims another size than the header.

        """
        from pydicom.encaps import generate_fragments

        if index >= len(self._starts):
            raise DamagedError("its compressed image lacks frames")
        start = self._starts[index]
        is_last = index + 1 == len(self._starts)
        self._file.seek(start)
        items = self._file.read(-1 if is_last else self._starts[index + 1] - start)
        stream = b"".join(generate_fragments(items))
        return checked_stream(stream, self._encoding)

    def _after_ends(self, starts: list[int]) -> list[int]:
        """Find the first fragments of frames by the marks at the ends of others."""
        firsts = starts[:1]
        for start, following in pairwise(starts):
            self._file.seek(max(following - _PADDED_END, start + _ITEM_HEADER))
            tail = self._file.read(following - self._file.tell())
            if _END_OF_IMAGE in tail:
                firsts.append(following)
        return firsts
