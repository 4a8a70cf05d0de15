"""Cases dealt into parts, so that none is judged by what it chose itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

_PARTS = 5


def parts_by_patient(patients: NDArray[Any], seed: int) -> IntArray:
    """Return a part for each case ``(n,)``, the same for all cases of a patient."""
    names, whose = np.unique(patients, return_inverse=True)
    count = min(_PARTS, len(names))
    dealt = np.random.default_rng(seed).permutation(len(names)) % max(count, 1)
    part: IntArray = dealt[whose].astype(np.int64)
    return part
