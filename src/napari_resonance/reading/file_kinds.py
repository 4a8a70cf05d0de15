"""What a file is, told by its first bytes, and by its name where these do not tell."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

Kind = Literal["dicom", "nifti", "zip", "tar", "gzip"]

HEAD_BYTES = 540
"""How many of the first bytes tell what a file is: a NIfTI-2 header."""

_NIFTI_ENDINGS = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
_HEADER_SIZES = {
    (348).to_bytes(4, "little"),
    (348).to_bytes(4, "big"),
    (540).to_bytes(4, "little"),
    (540).to_bytes(4, "big"),
}
_KNOWN_JUNK = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"BM": "a bitmap picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"PK\x03\x04": "a document or program packed as a zip archive",
    b"BZh": "a bzip2 archive; unpack it first",
    b"\xfd7zXZ": "an xz archive; unpack it first",
    b"7z\xbc\xaf": "a 7-zip archive; unpack it first",
    b"Rar!": "a rar archive; unpack it first",
    b"\xd0\xcf\x11\xe0": "an Office document or a store of thumbnails",
    b"\x89HDF": "an HDF5 file (MINC, NWB or other); convert it to NIfTI",
    b"NRRD": "an NRRD image; convert it to NIfTI",
    b"ObjectType": "a MetaImage header; convert it to NIfTI",
    b"MZ": "a program",
    b"\x7fELF": "a program",
    b"<?xml": "an XML document",
    b"<!DOCTYPE": "an HTML document",
    b"<html": "an HTML document",
}
# Why a file is passed over unseen.
HIDDEN = "hidden"
SPECIAL = "a link or special file in an archive"
REPEATED = "it stands in the archive twice"
PACKED = "a gzip archive of "
"""Before the kind of what was packed alone."""

_EMPTY, _PLAIN_TEXT, _UNKNOWN = "an empty file", "a text file", "a file of another kind"
# Documents, programs and arrays that are zip archives under another name.
_ZIPPED_OTHERS = (
    *(".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".jar", ".apk"),
    *(".whl", ".npz", ".pt", ".pth", ".ckpt", ".keras", ".sketch", ".kmz"),
)
_TEXT = bytes({7, 8, 9, 10, 12, 13, 27, *range(0x20, 0x7F), *range(0x80, 0x100)})
# Every type of value that the standard knows, as an explicit element names it.
_VALUE_TYPES = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC "
    b"UI UL UN UR US UT UV".split()
)
_OPENING = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
# A pipe that took the place of a file since the folder was listed must not hang.
_OPENING |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


def kind_of(path: Path) -> tuple[Kind | None, str]:
    """Tell scans and archives by the first bytes; None comes with what it is instead.

    Pipes, sockets and devices are never opened.

    Raises
    ------
    OSError
        If the file cannot be opened.

    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None, "no regular file"
    return kind_of_head(head_of(os.fspath(path)), path.name)


def head_of(path: str) -> bytes:
    """Return the first bytes of a file; opened, read and closed, and no more.

    Raises
    ------
    OSError
        If the file cannot be read.

    """
    opened = os.open(path, _OPENING)
    try:
        return os.read(opened, HEAD_BYTES)
    finally:
        os.close(opened)


def kind_of_head(head: bytes, name: str) -> tuple[Kind | None, str]:
    """Tell scans and archives by the first bytes and the name of a file."""
    if head[128:132] == b"DICM":
        return "dicom", ""
    if name.lower().endswith(_NIFTI_ENDINGS):
        return "nifti", ""
    if head[:4] in _HEADER_SIZES and len(head) >= 348:
        return "nifti", ""
    packing = _packing_of(head, name)
    if packing:
        return packing, ""
    if _looks_like_headless_dicom(head):
        return "dicom", ""
    return None, _what_else(head)


def _packing_of(head: bytes, name: str) -> Kind | None:
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head[257:262] == b"ustar":
        return "tar"
    # The second is an archive without a member.
    if not head.startswith((b"PK\3\4", b"PK\5\6")):
        return None
    return None if name.lower().endswith(_ZIPPED_OTHERS) else "zip"


def is_no_scan(reason: str) -> bool:
    """Tell whether a file was left out as none that could be one, for this reason.

    It was passed over unseen, or `kind_of_head` found neither scan nor archive.
    """
    passed_over = (HIDDEN, SPECIAL, REPEATED)
    others = (_EMPTY, _PLAIN_TEXT, _UNKNOWN, *_KNOWN_JUNK.values())
    return reason in passed_over or reason.removeprefix(PACKED) in others


def _what_else(head: bytes) -> str:
    if not head:
        return _EMPTY
    for start, what in _KNOWN_JUNK.items():
        if head.startswith(start):
            return what
    if not head.translate(None, _TEXT):
        return _PLAIN_TEXT
    return _UNKNOWN


def _looks_like_headless_dicom(head: bytes) -> bool:
    """Tell a DICOM file without preamble by the first element.

    It is of group 2 or 8, or of another group of an image's header where it names its
    type of value, as in files whose identifying groups were cut out.
    """
    if len(head) < 8:
        return False
    explicit = head[4:6] in _VALUE_TYPES
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        group = int.from_bytes(head[:2], order)
        element = int.from_bytes(head[2:4], order)
        if explicit and group in (0x0010, 0x0018, 0x0020, 0x0028):
            return True
        if group not in (0x0002, 0x0008) or element > 0x0120:
            continue
        if explicit or int.from_bytes(head[4:8], order) <= 1024:
            return True
    return False
