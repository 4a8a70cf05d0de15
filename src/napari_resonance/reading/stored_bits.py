"""The bits of a pixel that carry its value, where others are used besides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.reading.dicom_encoding import Encoding

# Every so many rows and columns are looked at first.
_SAMPLED = 16


def mend_bits(plane: NDArray[Any], encoding: Encoding) -> None:
    """Leave only the value in each pixel of a plane, in place.

    An overlay in the high bits is cleared, and so is anything that all pixels share
    there; values that lie in the upper bits are moved down; a sign is extended. Values
    beyond the stored bits that nothing of this explains are kept: the header is wrong
    more often than they are.
    """
    bits = encoding.stored
    if plane.dtype.kind not in "iu" or not 0 < bits < encoding.allocated:
        return
    if encoding.color:
        return
    _move_down(plane, encoding)
    whole = plane.dtype.type((1 << bits) - 1)
    if encoding.hides_overlay or _shares_high_bits(plane, encoding):
        plane &= whole
    # One negative value shows that the sign is extended; air outside a patient, which
    # a few pixels find, spares a pass over most planes.
    if not encoding.signed or plane[::_SAMPLED, ::_SAMPLED].min() < 0:
        return
    half = 1 << (bits - 1)
    if plane.min() >= 0 and half <= plane.max() < 2 * half:
        plane[plane >= half] |= plane.dtype.type(-2 * half)


def _move_down(plane: NDArray[Any], encoding: Encoding) -> None:
    """Move values down that end at the high bit; some headers only claim that."""
    unused = encoding.high_bit + 1 - encoding.stored
    if 0 < unused <= encoding.allocated - encoding.stored and not (
        np.bitwise_or.reduce(plane, axis=None) & plane.dtype.type((1 << unused) - 1)
    ):
        plane >>= plane.dtype.type(unused)


def _shares_high_bits(plane: NDArray[Any], encoding: Encoding) -> bool:
    """Tell whether all pixels have the same bits, and any, above the stored ones."""
    bits = encoding.stored
    if encoding.signed or not plane[::_SAMPLED, ::_SAMPLED].min() >> bits:
        return False
    return bool(plane.min() >> bits == plane.max() >> bits)
