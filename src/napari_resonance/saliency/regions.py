"""The regions of a saliency map: where they are, how large, how strong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.geometry import FloatArray, Grid, resample, spacing_of, to_world
from napari_resonance.saliency.place import is_head

# A region that holds less of the evidence above the threshold is a speck.
_SPECK = 0.01
_BINS = 256
_WAYS = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Region:
    """A connected part of a map above its threshold.

    Parameters
    ----------
    number
        1 for the region with the most evidence.
    evidence
        "for" or "against" the label of the map.
    center_mm, peak_mm
        RAS+ mm of the centre, weighted by evidence, and of the strongest voxel.
    within_mm
        Half a cell of the map along its longest side: no place is known better.
    volume_mm3, area_mm2
        Size; of a volume the one, of a single image the other.
    mean, strongest
        Evidence of its voxels, signed, in the method's own units.
    share
        Of all evidence above the threshold, 0 to 1.
    place
        For example "right hemisphere, anterior, superior", seen from the middle of
        what the network saw; empty where the scan's orientation is not known.
    threshold
        Evidence above which a voxel belongs to a region, in the method's own units.

    """

    number: int
    evidence: str
    center_mm: Point
    peak_mm: Point
    within_mm: float
    volume_mm3: float | None
    area_mm2: float | None
    mean: float
    strongest: float
    share: float
    place: str
    threshold: float

    def to_json(self) -> dict[str, Any]:
        """Return the region by its fields."""
        return asdict(self)


def regions_of(saliency: Saliency, body_part: str = "brain") -> list[Region]:
    """Return the regions of a map, those with the most evidence first.

    The map is taken as it is drawn, linear between its cells, on the voxels that the
    network saw. The threshold is Otsu's (IEEE Trans. SMC 1979), which parts the
    histogram of the evidence into two classes that differ most. Voxels that touch at a
    corner are connected; regions with less than 1 % of the evidence above the threshold
    are left out.

    Parameters
    ----------
    saliency
        A map; evidence of the sign it shows is looked at, of "both" each by itself.
    body_part
        What the scan shows; the sides of a head are called hemispheres.

    Returns
    -------
    list of Region
        Empty where the map shows no evidence.

    """
    if saliency.is_empty:
        return []
    grid = Grid(*saliency.extent)
    values = resample(saliency.values, saliency.affine, grid, antialias=False)
    signs = {"for": (1,), "against": (-1,), "both": (1, -1)}[saliency.sign]
    evidence = [np.maximum(values * sign, 0) for sign in signs]
    threshold = otsu(np.concatenate([e[e > 0] for e in evidence]))
    found = sorted(_connected(evidence, threshold), key=lambda one: -one[0])
    return [
        Region(
            number=number,
            share=share,
            threshold=threshold,
            **_measured(values, part, saliency, body_part),
        )
        for number, (share, part) in enumerate(found, 1)
    ]


def otsu(values: NDArray[np.float32]) -> float:
    """Return the value that parts a histogram into two classes that differ most.

    0 where there is nothing to part.
    """
    if not values.size or np.ptp(values) == 0:
        return 0.0
    counts, edges = np.histogram(values, _BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()[:-1]
    above = values.size - below
    sums = (counts * middles).cumsum()
    difference = (sums[-1] - sums[:-1]) / above - sums[:-1] / below
    return float(edges[1:-1][np.argmax(below * above * difference**2)])


Part = tuple[NDArray[np.int_], ...]


def _connected(
    evidence: Sequence[NDArray[np.float32]], threshold: float
) -> Iterator[tuple[float, Part]]:
    """Yield the share of all and the indices of each connected part that is no speck.

    A map of voxels has tens of thousands of specks: none is looked at by itself.
    """
    from scipy import ndimage

    labels = [ndimage.label(e > threshold, np.ones((3, 3, 3)))[0] for e in evidence]
    sums = [
        np.bincount(label.ravel(), np.where(label > 0, e, 0).ravel())
        for label, e in zip(labels, evidence, strict=True)
    ]
    total = sum(float(one.sum()) for one in sums)
    for label, one in zip(labels, sums, strict=True):
        boxes = ndimage.find_objects(label)
        for n in np.flatnonzero(one[1:] >= _SPECK * total):
            box = boxes[n]
            inside = np.nonzero(label[box] == n + 1)
            starts = (part.start for part in box)
            yield (
                float(one[n + 1] / total),
                tuple(i + at for i, at in zip(inside, starts, strict=True)),
            )


def _measured(
    values: NDArray[np.float32], part: Part, saliency: Saliency, body_part: str
) -> dict[str, Any]:
    """Return the fields of a region that are those of its voxels alone."""
    shape, affine = saliency.extent
    inside = values[part]
    strength = np.abs(inside).astype(np.float64)
    index = np.stack(part, axis=-1)
    center = to_world(affine, strength @ index / strength.sum())
    peak = to_world(affine, index[int(strength.argmax())])
    middle = to_world(affine, (np.array(shape) - 1) / 2)
    x, y, _ = spacing_of(affine)
    is_flat = shape[2] == 1
    volume = abs(float(np.linalg.det(affine[:3, :3]))) * len(inside)
    within = max(spacing_of(saliency.affine)[: 2 if is_flat else 3]) / 2
    # Half the width of a cell along the patient's axes, oblique cells included.
    halves = np.abs(saliency.affine[:3, :3]).sum(axis=1) / 2
    place = _place(center - middle, halves, body_part) if saliency.oriented else ""
    return {
        "evidence": "for" if inside[0] > 0 else "against",
        "center_mm": _point(center),
        "peak_mm": _point(peak),
        "within_mm": within,
        "volume_mm3": None if is_flat else volume,
        "area_mm2": x * y * len(inside) if is_flat else None,
        "mean": float(inside.mean()),
        "strongest": float(inside[int(strength.argmax())]),
        "place": place,
    }


def _place(offset: FloatArray, halves: FloatArray, body_part: str) -> str:
    """Name a half and a quadrant; what is nearer to the middle than known is left."""
    right, *rest = (float(mm) for mm in offset)
    noun = "hemisphere" if is_head(body_part) else "half"
    side = f"{_WAYS[0][int(right > 0)]} {noun}"
    names = [side if abs(right) > halves[0] / 2 else "midline"]
    names += [
        ways[int(mm > 0)]
        for ways, mm, half in zip(_WAYS[1:], rest, halves[1:], strict=True)
        if abs(mm) > half / 2
    ]
    return ", ".join(names)


def _point(mm: FloatArray) -> Point:
    x, y, z = (float(n) for n in mm)
    return x, y, z
