"""Whether a network shall see colour: from scans, weights, and what was asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_resonance.preprocessing import Recipe
from napari_resonance.training.options import Decision

# Channels that differ by more than this share of the brightest value make a colour;
# what a lossy compression leaves in grey pictures is less.
_DIFFERENCE = 0.1
# Share of a picture that has to be coloured: a logo, a caliper or a scale is less.
_COLORED = 0.01
_KEPT, _REDUCED = "red, green and blue", "brightness only"


def is_colored(pixels: NDArray[np.float32]) -> bool | None:
    """Tell whether pixels ``(n, 3)`` show colour; None where there is but one grey.

    Grey pictures are often stored as colour: ultrasound, and pages of a scanner.
    """
    if pixels.min() == pixels.max():
        return None
    least = _DIFFERENCE * float(pixels.max())
    return bool((np.ptp(pixels, axis=1) > least).mean() > _COLORED)


def color_decision(
    colored: Sequence[bool | None],
    asked: str,
    channels: int | None,
    *,
    in_color: bool = True,
) -> tuple[bool, Decision | None]:
    """Return whether colour is kept, and why; no decision where there is none.

    Parameters
    ----------
    colored
        `is_colored` of each scan that was looked at; False for those stored as grey.
    asked
        ``"auto"``, ``"keep"`` or ``"brightness"``.
    channels
        Of the pretrained network; None without one.
    in_color
        Whether any of the scans is stored in colour.

    """
    if asked != "auto":
        keep = asked == "keep"
        why = "chosen"
        if keep and channels == 1:
            why += (
                "; the pretrained network was trained on grey images and weighs the "
                "three alike, unless all of it learns: --unfreeze all"
            )
        return keep, Decision("colour", _KEPT if keep else _REDUCED, why)
    known = [c for c in colored if c is not None]
    n, n_colored = len(known), sum(known)
    if not n_colored and not in_color:
        return False, None
    if not n_colored:
        why = (
            f"none of {n} scans that were looked at shows any, though stored in colour"
        )
        return False, Decision("colour", _REDUCED, why)
    if n_colored < n:
        why = (
            f"{n - n_colored} of {n} scans that were looked at are grey, and a network "
            "could tell them from the others by that alone; --color keep shows it"
        )
        return False, Decision("colour", _REDUCED, why)
    if channels == 1:
        why = "the pretrained network was trained on grey images; or --color keep"
        return False, Decision("colour", _REDUCED, why)
    why = f"all {n} scans that were looked at show colour"
    return True, Decision("colour", _KEPT, why)


def as_before(recipe: Recipe) -> Decision:
    """Return what becomes of colour where the recipe is that of a classifier."""
    if recipe.color:
        return Decision("colour", _KEPT, "as the pretrained network was trained")
    why = "as the pretrained network was trained; --color keep makes another recipe"
    return Decision("colour", _REDUCED, why)
