"""Diffusion weighting, where the standard and where three vendors keep it."""

from __future__ import annotations

from napari_resonance.reading.dicom_header import Header

_GE = 0x00431039
# Standard, Siemens, Philips, GE.
B_VALUES: tuple[str | int, ...] = ("DiffusionBValue", 0x0019100C, 0x20011003, _GE)


def b_value_of(header: Header) -> float | None:
    """Return the b-value in s/mm², None if the header gives none."""
    for key in B_VALUES:
        value = header.number(key)
        if value is not None and value >= 0:
            # GE adds a multiple of a hundred thousand that means something else.
            return value % 100_000 if key == _GE else value
    return None
