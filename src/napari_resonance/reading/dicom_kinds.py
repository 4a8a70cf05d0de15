"""DICOM objects that hold no scan: which they are, in words."""

from __future__ import annotations

from napari_resonance.reading.dicom_header import Header, Opened, open_header

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_STANDARD = "1.2.840.10008."
_STORAGE = "1.2.840.10008.5.1.4.1.1."

# Storage SOP classes by the start of what follows `_STORAGE` (PS3.4 annex B.5); the
# longest start that fits decides.
_BY_CLASS = {
    "4.2": "MR spectroscopy data",
    "8": "an overlay",
    "9": "a waveform",
    "9.4": "an audio waveform",
    "10": "a look-up table",
    "11": "a presentation state",
    "66": "raw data",
    "66.1": "a spatial registration",
    "66.2": "spatial fiducials",
    "66.3": "a deformable spatial registration",
    "66.4": "a segmentation",
    "66.5": "a surface segmentation",
    "66.6": "tractography results",
    "66.7": "a segmentation",
    "66.8": "a segmentation",
    "67": "a real-world value mapping",
    "68": "a surface scan",
    "77.1.1.1": "a video",
    "77.1.2.1": "a video",
    "77.1.4.1": "a video",
    "77.1.5.3": "a stereometric relationship of two images",
    "77.1.6": "a tiled whole-slide microscopy image",
    "77.1.9": "a tiled whole-slide microscopy image",
    "78": "ophthalmic measurements",
    "79": "a macular grid report",
    "80": "a visual field report",
    "88": "a structured report",
    "88.59": "a key object selection",
    "90": "a content assessment",
    "91": "microscopy annotations",
    "104": "an encapsulated document",
    "104.1": "an encapsulated PDF",
    "104.2": "an encapsulated CDA document",
    "104.3": "an encapsulated STL model",
    "104.4": "an encapsulated OBJ model",
    "104.5": "an encapsulated MTL material",
    "129": "a curve",
    "131": "a structured display",
    "200": "a procedure protocol",
    "201": "an inventory",
    "481": "a radiotherapy object",
    "481.1": "a radiotherapy portal image",
    "481.2": "a radiotherapy dose",
    "481.3": "a radiotherapy structure set",
    "481.4": "a radiotherapy treatment record",
    "481.5": "a radiotherapy plan",
    "481.6": "a radiotherapy treatment record",
    "481.7": "a radiotherapy treatment record",
    "481.8": "a radiotherapy plan",
    "481.9": "a radiotherapy treatment record",
    "481.23": "a radiotherapy portal image",
    "481.24": "a radiotherapy portal image",
}
_CURVE = "1.2.840.10008.5.1.4.1.1.9"  # on its own; what is below it is a waveform
_ELSEWHERE = {
    "1.2.840.10008.5.1.4.34": "a radiotherapy instruction",
    "1.2.840.10008.5.1.4.38": "a hanging protocol",
    "1.2.840.10008.5.1.4.39": "a colour palette",
    "1.2.840.10008.5.1.4.43": "an implant template",
    "1.2.840.10008.5.1.4.44": "an implant template",
    "1.2.840.10008.5.1.4.45": "an implant template",
    "1.2.840.10008.5.1.1.27": "a print request",
    "1.3.12.2.1107.5.9.1": "private data of its maker (Siemens, not an image)",
    "1.3.46.670589.11.0.0.12": "private data of its maker (Philips, not an image)",
}
_BY_MODALITY = {
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a key object selection",
    "SEG": "a segmentation",
    "RTDOSE": "a radiotherapy dose",
    "RTIMAGE": "a radiotherapy portal image",
    "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set",
    "RTRECORD": "a radiotherapy treatment record",
    "REG": "a spatial registration",
    "FID": "spatial fiducials",
    "RWV": "a real-world value mapping",
    "DOC": "an encapsulated document",
    "ECG": "a waveform",
    "AU": "an audio waveform",
}
# Whatever modality a secondary capture names, it is a picture: of a report, perhaps.
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_VIDEO = tuple(f"1.2.840.10008.1.2.4.{n}" for n in range(100, 109))
_STREAMED = "1.2.840.10008.1.2.7."
# Elements that only objects of one kind have, for those that name no class.
_BY_ELEMENT = {
    "ContentSequence": "a structured report",
    "WaveformSequence": "a waveform",
    "ROIContourSequence": "a radiotherapy structure set",
    "BeamSequence": "a radiotherapy plan",
    "ScheduledProcedureStepSequence": "an entry of a worklist",
    "GraphicAnnotationSequence": "a presentation state",
}


def other_than_scan(opened: Opened) -> str:
    """Name what an object is if it is no scan, for example "a segmentation".

    Returns
    -------
    str
        Empty for images.

    """
    header, uid = opened.header, _class_of(opened)
    if header.items("DirectoryRecordSequence") or uid == MEDIA_DIRECTORY:
        return "a DICOMDIR, the index of other files"
    if kind := _kind_of_class(uid):
        return kind
    if _is_video(opened.transfer_syntax):
        return "a video"
    has_size = bool(header.integer("Rows") and header.integer("Columns"))
    if has_size and (uid == _CAPTURE or uid.startswith(_CAPTURE + ".")):
        return ""
    if named := _BY_MODALITY.get(header.text("Modality")):
        return named
    return "" if has_size else _imageless(opened, uid)


def _class_of(opened: Opened) -> str:
    """Return the SOP class, from the file meta information where need be."""
    meta = getattr(opened.dataset, "file_meta", None)
    named = Header([meta]).text("MediaStorageSOPClassUID") if meta else ""
    return opened.header.text("SOPClassUID") or named


def _kind_of_class(uid: str) -> str:
    if uid.startswith(_STORAGE):
        rest = uid.removeprefix(_STORAGE)
        return "a curve" if uid == _CURVE else _longest(_BY_CLASS, rest)
    return _longest(_ELSEWHERE, uid)


def _longest(kinds: dict[str, str], uid: str) -> str:
    """Return what the longest start of a UID, cut between its numbers, stands for."""
    parts = uid.split(".")
    starts = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((kinds[start] for start in starts if start in kinds), "")


def _is_video(syntax: str) -> bool:
    """Tell video syntaxes, some of which have a fragmentable form ending in .1."""
    return syntax.removesuffix(".1") in _VIDEO or syntax.startswith(_STREAMED)


def _imageless(opened: Opened, uid: str) -> str:
    """Name an object without rows and columns, of no class that is known above."""
    if uid.startswith(_STORAGE):
        return "an image object whose pixels were left out"
    whole = open_header(opened.path).header
    kinds = (kind for key, kind in _BY_ELEMENT.items() if whole.items(key))
    if kind := next(kinds, ""):
        return kind
    if uid and not uid.startswith(_STANDARD):
        return "private data of its maker, without an image"
    return "an object without an image"
