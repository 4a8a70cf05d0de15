"""Places in words, against the middle of the region the network saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.saliency.place import describe_offset, describe_place

# A region of 49×57×33 voxels of 3 mm; cells of 24 mm; its middle is (0, 0, 40) mm.
REGION = np.diag([3.0, 3.0, 3.0, 1.0])
REGION[:3, 3] = (-72, -84, -8)


def _map(cell: tuple[int, int, int] | None, affine: np.ndarray = REGION) -> Saliency:
    values = np.zeros((7, 8, 5), np.float32)
    if cell is not None:
        values[cell] = 1
    cells = affine @ np.diag([8.0, 8.0, 8.0, 1.0])
    return Saliency(values, cells, "gradcam", "T1w", ((49, 57, 33), affine))


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ((4, 0, 2), "right hemisphere, 24 mm from the midline of the head box, "
                    "level with its centre (± 12 mm)"),
        ((0, 0, 3), "left hemisphere, 72 mm from the midline of the head box, "
                    "24 mm above its centre (± 12 mm)"),
        ((3, 0, 0), "at the midline of the head box, 48 mm below its centre (± 12 mm)"),
    ],
)  # fmt: skip
def test_says_side_and_level(cell, words):
    assert describe_place(_map(cell)) == words


def test_other_parts_have_no_hemispheres():
    words = describe_place(_map((4, 0, 2)), "chest")
    assert words.startswith("right half, 24 mm from the midline of the region seen")


def test_sides_are_the_patients_however_the_scan_is_stored():
    flipped = REGION @ np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[0, 3] = 72
    assert describe_place(_map((0, 0, 2), flipped)).startswith(
        "right hemisphere, 72 mm"
    )


def test_an_empty_map_has_no_place():
    assert describe_place(_map(None)) == "nowhere: nothing in the scan speaks for T1w"


def test_sides_that_hardly_differ_are_told_together():
    saliency = _map((4, 0, 2))
    saliency.values[2, 0, 2] = 0.95
    assert "(the other hemisphere hardly less)" in describe_place(saliency)
    saliency.values[2, 0, 2] = 0.8
    assert "other" not in describe_place(saliency)


def test_without_an_orientation_no_side_is_named():
    saliency = replace(_map((4, 0, 2)), oriented=False)
    words = describe_place(saliency)
    assert "orientation is not known" in words
    assert "right" not in words


@pytest.mark.parametrize(
    ("center", "words"),
    [
        ((0, -84, 40), "24 mm right of the marked place (± 12 mm)"),
        ((30, -90, 44), "6 mm left of the marked place, 6 mm in front of it, "
                        "4 mm below it (± 12 mm)"),
        ((24.3, -80, 38), "4 mm behind the marked place, 2 mm above it (± 12 mm)"),
        ((24, -84, 40), "at the marked place (± 12 mm)"),
    ],
)  # fmt: skip
def test_a_region_is_described_from_the_marked_place(center, words):
    assert describe_offset(_map((4, 0, 2)), center) == words


def test_a_region_without_evidence_or_orientation_has_no_place():
    assert "nothing in the region speaks for T1w" in describe_offset(
        _map(None), (0, 0, 0)
    )
    lost = replace(_map((4, 0, 2)), oriented=False)
    assert "orientation is not known" in describe_offset(lost, (0, 0, 0))
