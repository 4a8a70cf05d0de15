"""What a picture of a scan may give away, although no name is written on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_resonance.scan import Scan

# Machines that write names into the pixels (PS3.3 C.7.6.1.1.1, BurnedInAnnotation):
# ultrasound, screen captures, endoscopes, scanned films, photographs, dermatoscopes.
_BURNT_IN = {"US", "IVUS", "SC", "OT", "ES", "XC", "DG", "GM", "XA", "RF"}
_HEADS = ("head", "brain", "skull", "face", "neck", "orbit", "sinus", "jaw")


def picture_risks(scan: Scan, body_part: str = "") -> tuple[str, ...]:
    """Return what to think of before a picture of a scan leaves the house.

    Parameters
    ----------
    scan
        What is drawn.
    body_part
        What the model that looked at it was made for, where the file does not say.

    Returns
    -------
    tuple of str
        Sentences; empty where nothing is known to be wrong.

    """
    found = []
    told = str(scan.meta.get("burned_in_annotation") or "").upper()
    if told == "YES":
        found.append("The file says that a name or number is burnt into the picture.")
    elif scan.modality in _BURNT_IN and told != "NO":
        found.append(
            f"Images of the kind {scan.modality} often have names burnt into them. "
            "Look at the picture before you pass it on."
        )
    part = str(scan.meta.get("body_part_examined") or body_part).lower()
    if any(word in part for word in _HEADS) and scan.grid_shape[2] > 1:
        found.append(
            "A scan of a head can show a face, by which a person can be recognised."
        )
    return tuple(found)
