"""What a network makes of an image with a window covered, at little cost.

A window changes only those cells of a feature map whose receptive field reaches it. The
first parts of the network, where the grid is fine and most of the work is done, are
therefore run over the surroundings of the window alone, and the result is put into the
feature map of the image as it is. From where the surroundings are most of the map on,
the rest is run as a whole. The outcome is that of the whole run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_resonance.classifier.definition import PartShape, mirrorings, part_shapes
from napari_resonance.classifier.members import Heads
from napari_resonance.classifier.parts import Chain
from napari_resonance.saliency.baseline import baseline_of
from napari_resonance.saliency.question import Array, Question

Place = tuple[slice, ...]

# Surroundings above this share of a feature map are not worth being cut out.
_WORTH = 0.6
# Feature maps of the image are kept up to this many numbers, 1 GB.
_KEPT = 2**28


class Covering:
    """The images of a question with windows covered.

    Parameters
    ----------
    question
        Tells images, baseline, network and score.
    window
        Voxels of the largest window along each axis.

    """

    def __init__(self, question: Question, window: Sequence[int]) -> None:
        self._question = question
        self._baseline = baseline_of(question.array, question.options.baseline)
        self._before = question.answer.logits @ question.score / len(question.array)
        self._looks = self._taken_apart(window)

    def changes(self, rows: Sequence[int], windows: Sequence[Place]) -> Array:
        """Return what goes of the score with each window, ``(windows,)``.

        Parameters
        ----------
        rows
            Which image each window is in.
        windows
            Its voxels, one slice an axis; at least one voxel.

        """
        if self._looks:
            parts = [look.changes(rows, windows) for look in self._looks]
            return np.asarray(np.sum(parts, axis=0), np.float32)
        question = self._question
        images = question.array[list(rows)]
        for image, row, window in zip(images, rows, windows, strict=True):
            image[(..., *window)] = self._baseline[row][(..., *window)]
        logits = question.classifier.run(images).logits
        after = logits @ question.score / len(question.array)
        return np.asarray(self._before[list(rows)] - after, np.float32)

    def _taken_apart(self, window: Sequence[int]) -> list[_Look]:
        """Return a look for each member of the network and each mirror image it sees.

        Empty where the network has no parts, or nothing would be saved.
        """
        question = self._question
        classifier = question.classifier
        chains = classifier.chains
        if not chains:
            return []
        shapes = part_shapes(classifier.bundle.network_def)
        seen = mirrorings(question.mirror_axes)
        heads = classifier.heads
        if len(seen) > 1 and not heads.is_linear:
            return []  # what the mirror images change does not add up
        share = np.float32(len(question.array) * len(seen) * len(chains))
        looks = []
        for chain, head in zip(chains, heads.apart(), strict=True):
            for axes in seen:
                look = _Look(chain, shapes, head, question.score / share, axes)
                if not look.begin(question.array, self._baseline, window):
                    return []
                looks.append(look)
        return looks


@dataclass(eq=False)
class _Look:
    """One network looking at the images, or at their mirror images along some axes."""

    chain: Chain
    shapes: Sequence[PartShape]
    head: Heads
    score: Array
    axes: tuple[int, ...]

    def begin(self, images: Array, baseline: Array, window: Sequence[int]) -> bool:
        """Run over the images as they are; tell whether parts of that can be kept."""
        flipped = tuple(axis + 2 for axis in self.axes)
        self._baseline = np.flip(baseline, flipped)
        self._maps = [np.ascontiguousarray(np.flip(images, flipped))]
        self._crops: list[tuple[int, ...]] = []
        sides = tuple(window)
        for number, shape in enumerate(self.shapes[:-1]):
            cells = self._maps[-1].shape[2:]
            crop, wider = _surroundings(shape, sides, cells)
            is_worth = math.prod(crop) <= _WORTH * math.prod(cells)
            if not is_worth or sum(m.size for m in self._maps) > _KEPT:
                break
            self._maps.append(self.chain.run(self._maps[-1], number, number + 1))
            self._crops.append(crop)
            sides = wider
        if not self._crops:
            return False
        self._before = self._score(
            self.chain.run(self._maps[-1], len(self._crops), None)
        )
        return True

    def changes(self, rows: Sequence[int], windows: Sequence[Place]) -> Array:
        """Return what goes of the score with each window."""
        places = [self._mirrored(window) for window in windows]
        values = [
            self._baseline[row][(..., *place)]
            for row, place in zip(rows, places, strict=True)
        ]
        for number in range(len(self._crops)):
            values, places = self._through(number, rows, values, places)
        maps = self._maps[-1][list(rows)]
        for one, value, place in zip(maps, values, places, strict=True):
            one[(..., *place)] = value
        after = self._score(self.chain.run(maps, len(self._crops), None))
        return np.asarray(self._before[list(rows)] - after, np.float32)

    def _through(
        self,
        number: int,
        rows: Sequence[int],
        values: Sequence[Array],
        places: Sequence[Place],
    ) -> tuple[list[Array], list[Place]]:
        """Return what a part makes of changed cells, and where that lies."""
        shape, crop = self.shapes[number], self._crops[number]
        before, after = self._maps[number], self._maps[number + 1]
        images = np.empty((len(rows), before.shape[1], *crop), np.float32)
        reached, starts = [], []
        for image, row, value, place in zip(images, rows, values, places, strict=True):
            changed = _reached(shape, place, after.shape[2:])
            start = _start(shape, changed, crop, before.shape[2:])
            cut = tuple(slice(a, a + n) for a, n in zip(start, crop, strict=True))
            image[:] = before[row][(..., *cut)]
            image[(..., *_moved(place, start))] = value
            reached.append(changed)
            starts.append([a // s for a, s in zip(start, shape.stride, strict=True)])
        made = self.chain.run(images, number, number + 1)
        found = [
            one[(..., *_moved(place, start))]
            for one, place, start in zip(made, reached, starts, strict=True)
        ]
        return found, reached

    def _mirrored(self, window: Place) -> Place:
        sizes = self._maps[0].shape[2:]
        return tuple(
            slice(n - w.stop, n - w.start) if axis in self.axes else w
            for axis, (w, n) in enumerate(zip(window, sizes, strict=True))
        )

    def _score(self, features: Array) -> Array:
        """Return each image's share of the score."""
        pooled = features.reshape(*features.shape[:2], -1).mean(axis=2)
        logits = self.head.member_logits(pooled)[0]
        return np.asarray(logits @ self.score, np.float32)


def _surroundings(
    shape: PartShape, sides: Sequence[int], cells: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the cells to cut out around a changed place, and those changed after.

    Both by axis, at most. What is cut out begins at a multiple of the stride, and so
    does the last that fits into the map.
    """
    crop, wider = [], []
    for side, n, s, reach in zip(sides, cells, shape.stride, shape.reach, strict=True):
        after = (side - 1 + 2 * reach) // s + 1
        needed = min(n, (after - 1) * s + 2 * reach + s)
        crop.append(needed + (n - needed) % s)
        wider.append(after)
    return tuple(crop), tuple(wider)


def _reached(shape: PartShape, place: Place, cells: Sequence[int]) -> Place:
    """Return the cells after a part that a changed place before it can change."""
    return tuple(
        slice(
            max(0, -(-(p.start - reach) // s)),
            min(n, (p.stop - 1 + reach) // s + 1),
        )
        for p, n, s, reach in zip(place, cells, shape.stride, shape.reach, strict=True)
    )


def _start(
    shape: PartShape, reached: Place, crop: Sequence[int], cells: Sequence[int]
) -> tuple[int, ...]:
    """Return the first cell to cut out, so that all that is reached comes out right."""
    return tuple(
        min(max(0, p.start * s - reach) // s * s, n - width)
        for p, width, n, s, reach in zip(
            reached, crop, cells, shape.stride, shape.reach, strict=True
        )
    )


def _moved(place: Place, start: Sequence[int]) -> Place:
    return tuple(
        slice(p.start - a, p.stop - a) for p, a in zip(place, start, strict=True)
    )
