"""What can be said of a scan before it is classified."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_resonance.classifier.card import ModelCard
from napari_resonance.scan import Scan


def unsuitable(scan: Scan, card: ModelCard) -> tuple[str, ...]:
    """Say why a scan is not of the kind a classifier was made for."""
    reasons = []
    if card.modality and scan.modality and scan.modality not in card.modality:
        wanted = " or ".join(card.modality)
        reasons.append(
            f"the model {card.name} was made for {wanted}, this scan is {scan.modality}"
        )
    if card.dimensions == 3 and min(scan.grid_shape) < 2:
        reasons.append(
            f"the model {card.name} needs a volume, this scan is a single image"
        )
    return tuple(reasons)


def is_constant(scan: Scan) -> bool:
    """Tell whether all voxels that count are equal; lazy scans are not looked at."""
    if scan.is_lazy:
        return False
    stored = scan.stored()
    sample = stored[::8, ::8, ::8]
    # A few voxels of nearly every scan differ, which spares a pass over all of them.
    return _all_equal(sample) and _all_equal(stored)


def _all_equal(values: NDArray[Any]) -> bool:
    first = values.flat[0]
    return bool((values == first).all())
