"""Which names may stand in a table that is handed on, and codes for the others.

Folders and files are often called after patients, and nothing in a path says whether it
is so. A part of a path is therefore shown only where every word of it is one of the
trade and every number is small; any other part is replaced by a code.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from napari_resonance.errors import ExportError
from napari_resonance.export.atomic import replacing
from napari_resonance.scoring.plan import Item

KEY = "identifiers.key"
CODE_LENGTH = 16

# Words that say what a scan is. No first or last name belongs here, nor a place.
_WORDS = frozenset(
    """
    abdomen acq adc adrenal anat angio ankle anon anonymous archive arterial asl ax
    axial baseline batch bold brain breast breath cad cardiac case cases cbct cc ce
    center cervical chest cine cohort colon contrast control controls cor coronal
    corr cr ct cta ctrl cxr data dataset datasets dce delayed derivatives dicom
    dicomdir dicoms dir dix dixon dti dual dwi dx echo enhanced ep epi exam exp
    export exports ext external fa fat ffe file files fl flair fmap fmri fold folder
    followup frame fs fse func gd gre group im image images img imgs in input inputs
    int internal inv iso kidney knee lat lateral left lesion liver local lumbar lung
    magnitude map mask mb mip mm mni mono mp mpr mprage mr mra mri mrs native nc
    neck nifti niftis no non nuc ob oblique old orig original out output pa part
    path pd pelvis perf perfusion pet phantom phase pilot portal post postop pre
    preop prostate pt rage ras raw rec recon ref reference rep repeat resampled rest
    right run sag sagittal sample samples scan scanner scans scout se sel sense
    sequence ser series ses session set sets shoulder site sites skull slice slices
    space spc spin spine spir spoiled sr std stir stu studies study sub subj subject
    subjects swi syntaxes te temp test thick thin thoracic thorax ti time tirm tof
    tr tra train transfer transverse trufi ts tse tst tumor tumour uni us val valid
    validation ven venous vibe vol volume volumes wfs with without wrist xa xray
    a b c d e f g h i j k l m n o p q r s t u v w x y z
    """.split()  # noqa: SIM905 - one word a cell would fill the file
)
_ENDINGS = re.compile(
    r"(\.(nii|hdr|img|dcm|ima|dicom|zip|tar|tgz|gz|bz2|xz|json))+$", re.IGNORECASE
)
_PIECES = re.compile(r"[^\W\d_]+|\d+", re.UNICODE)
_UPPER = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+")
_DATE = re.compile(r"(?<!\d)(\d{1,2}\D\d{1,2}\D\d{2,4}|\d{4}\D\d{1,2}\D\d{1,2})(?!\d)")
# Patients and examinations have longer numbers, and so have dates.
_LARGEST_NUMBER = 9999


def is_harmless(part: str) -> bool:
    """Tell whether a part of a path says nothing about who was scanned.

    Parameters
    ----------
    part
        Name of a folder or file.

    """
    stem = _ENDINGS.sub("", part)
    if _DATE.search(stem):
        return False
    return all(map(_is_known, _PIECES.findall(stem)))


def _is_known(piece: str) -> bool:
    if piece.isdigit():
        return int(piece) <= _LARGEST_NUMBER
    if piece.lower() in _WORDS:
        return True
    words = _UPPER.findall(piece)  # "anonScan", "T1wBrain"
    return len(words) > 1 and all(len(w) > 1 and w.lower() in _WORDS for w in words)


class Shown:
    """How sources and identifiers appear: as codes where they may name a patient.

    Parameters
    ----------
    folder
        Where the key lies, beside the journal.
    identifiers
        Whether they appear as they are.

    Raises
    ------
    ExportError
        If the key cannot be read or written.

    """

    def __init__(self, folder: Path, identifiers: bool) -> None:
        self._key = b"" if identifiers else _key_in(folder)
        self._part = lru_cache(maxsize=1 << 16)(self._part_of)

    def identifier(self, text: str) -> str:
        """Return an identifier, or the same 16 characters each time in its place."""
        if not text or not self._key:
            return text
        data = text.encode("utf-8", "surrogateescape")
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()[:CODE_LENGTH]

    def source(self, path: str) -> str:
        """Return a path with a code for each part that may name a patient."""
        if not self._key:
            return path
        return "/".join(map(self._part, path.split("/")))

    def text(self, text: str, source: str, identifiers: Sequence[str] = ()) -> str:
        """Return a text about a source without the names that are not shown.

        Parameters
        ----------
        text
            A warning, an error.
        source
            Path that it is about.
        identifiers
            Of the header.

        """
        if not self._key:
            return text
        for part in source.split("/"):
            shown = self._part(part)
            if shown != part:
                text = text.replace(part, shown)
                stem = _ENDINGS.sub("", part)
                text = text.replace(stem, _ENDINGS.sub("", shown)) if stem else text
        for name in filter(None, identifiers):
            text = text.replace(name, self.identifier(name))
        return text

    def rule(self, rule: str) -> str:
        """Return a rule, unless it speaks of paths."""
        if self._key and "source" in rule.lower():
            return "a rule about sources; the journal holds it"
        return rule

    def meanings(self, item: Item) -> Iterator[tuple[str, str]]:
        """Yield each code that stands for a name of a scan, with what it stands for."""
        parts = item.source.split("/")
        for n, part in enumerate(parts, 1):
            if (shown := self._part(part)) != part:
                yield shown, "/".join(parts[:n])
        for name in (item.study, item.series):
            if name and (shown := self.identifier(name)) != name:
                yield shown, name

    def _part_of(self, part: str) -> str:
        if is_harmless(part):
            return part
        ending = _ENDINGS.search(part)
        return self.identifier(part) + (ending[0] if ending else "")


def _key_in(folder: Path) -> bytes:
    path = folder / KEY
    try:
        if not path.is_file():
            with replacing(path) as temporary:
                temporary.touch(mode=0o600)
                temporary.write_text(secrets.token_hex(32), encoding="ascii")
        return bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise ExportError(
            "the key that identifiers are hashed with cannot be used",
            source=path,
            remedy="Remove it to have another; identifiers then look different",
        ) from error
