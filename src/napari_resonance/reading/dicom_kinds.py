"""DICOM objects that hold no scan: which they are, in words."""

from __future__ import annotations

from napari_resonance.reading.dicom_header import Header

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_STORAGE = "1.2.840.10008.5.1.4.1.1."

# Storage SOP classes by the start of what follows `_STORAGE` (PS3.4 annex B.5); the
# longest start that fits decides.
_BY_CLASS = {
    "4.2": "MR spectroscopy data",
    "9": "a waveform",
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
    "77.1.6": "a tiled whole-slide microscopy image",
    "78": "ophthalmic measurements",
    "79": "a macular grid report",
    "80": "a visual field report",
    "88": "a structured report",
    "88.59": "a key object selection",
    "104": "an encapsulated document",
    "104.1": "an encapsulated PDF",
    "200": "a procedure protocol",
    "481.1": "a radiotherapy portal image",
    "481": "a radiotherapy object",
    "481.2": "a radiotherapy dose",
    "481.3": "a radiotherapy structure set",
    "481.5": "a radiotherapy plan",
    "481.8": "a radiotherapy plan",
}
_BY_MODALITY = {
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a key object selection",
    "SEG": "a segmentation",
    "RTDOSE": "a radiotherapy dose",
    "RTPLAN": "a radiotherapy plan",
    "RTSTRUCT": "a radiotherapy structure set",
    "RTRECORD": "a radiotherapy treatment record",
    "REG": "a spatial registration",
    "FID": "spatial fiducials",
    "RWV": "a real-world value mapping",
    "DOC": "an encapsulated document",
    "ECG": "a waveform",
}
_VIDEO = (
    "1.2.840.10008.1.2.4.100",
    "1.2.840.10008.1.2.4.101",
    "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.104",
    "1.2.840.10008.1.2.4.105",
    "1.2.840.10008.1.2.4.106",
    "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.108",
)


def other_than_scan(header: Header, transfer_syntax: str) -> str:
    """Name what an object is if it is no scan, for example "a segmentation".

    Returns
    -------
    str
        Empty for images.

    """
    uid = header.text("SOPClassUID")
    if header.items("DirectoryRecordSequence") or uid == MEDIA_DIRECTORY:
        return "a DICOMDIR, the index of other files"
    if uid.startswith(_STORAGE):
        rest = uid.removeprefix(_STORAGE).split(".")
        for n in range(len(rest), 0, -1):
            if kind := _BY_CLASS.get(".".join(rest[:n])):
                return kind
    if transfer_syntax in _VIDEO:
        return "a video"
    if kind := _BY_MODALITY.get(header.text("Modality")):
        return kind
    if header.integer("Rows") is None or header.integer("Columns") is None:
        return "an object without an image"
    return ""
