"""How much a map changes where the scan hardly does, and from one method to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_resonance.classifier.prediction import Saliency
from napari_resonance.classifier.stages import Steps
from napari_resonance.errors import SaliencyError
from napari_resonance.geometry import Grid
from napari_resonance.preprocessing import NetworkInput
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.saliency.baseline import channel_ranges
from napari_resonance.saliency.cells import as_volume
from napari_resonance.saliency.explain import map_again
from napari_resonance.saliency.question import Array
from napari_resonance.saliency.similarity import check_uneven, on_grid, spearman

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.saliency.explain import Explanation

# Standard deviation of the noise over the range of the network's input.
_NOISE = (0.02, 0.05)


@dataclass(frozen=True)
class Repeat:
    """The map of a scan that was changed a little.

    Parameters
    ----------
    change
        What was done, in words.
    spearman
        Rank correlation with the map of the scan as it is.
    peak_mm
        How far the peak moved in the patient.

    """

    change: str
    spearman: float
    peak_mm: float


@dataclass(frozen=True)
class Stability:
    """How repeatable a map is.

    Parameters
    ----------
    repeats
        One for each change.

    """

    repeats: tuple[Repeat, ...]

    @property
    def sentence(self) -> str:
        """What it comes to, in words."""
        least = min(r.spearman for r in self.repeats)
        furthest = max(r.peak_mm for r in self.repeats)
        return (
            "shifted by a voxel or with little noise, the map keeps a rank correlation "
            f"of at least {least:.2f}, and its peak moves by up to {furthest:.0f} mm"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the ``stability`` entry of a document."""
        return {
            "repeats": [asdict(r) for r in self.repeats],
            "sentence": self.sentence,
        }


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far several maps of one answer agree.

    Parameters
    ----------
    names
        Of the maps.
    spearman
        Rank correlation of each pair, by the two names.
    spread
        Map of the standard deviation over all maps, each divided by its strongest
        evidence, on the voxels that the network saw: high where they disagree.

    """

    names: tuple[str, ...]
    spearman: Mapping[tuple[str, str], float]
    spread: Saliency

    def to_json(self) -> dict[str, Any]:
        """Return the ``agreement`` entry of a document."""
        pairs = self.spearman.items()
        return {
            "maps": list(self.names),
            "pairs": [{"maps": list(two), "spearman": value} for two, value in pairs],
            "mean_spearman": float(np.mean(list(self.spearman.values()))),
            "mean_spread": float(self.spread.values.mean()),
        }


def stability(
    classifier: Classifier,
    explained: Explanation,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> Stability:
    """Change a scan a little, make the map again, and compare.

    The network's input is shifted by one voxel, there and back along each of its axes,
    and the new map is laid over the old one by its affine; and noise of 2 and 5 % of
    the input's range is added.

    Parameters
    ----------
    classifier
        Who answered.
    explained
        What it was asked, and the map.
    seed
        Of the noise.
    progress, should_stop
        Called for each map.

    Raises
    ------
    SaliencyError
        If the map is the same everywhere.
    CancelledError
        If `should_stop` said so.

    """
    check_uneven(explained.saliency)
    case = explained.case.network_input
    changes = [*_shifted(case), *_noisy(case, np.random.default_rng(seed))]
    steps = Steps(len(changes), progress, should_stop)
    plain = explained.saliency
    x, y, z = plain.values.shape
    grid = Grid((x, y, z), plain.affine)
    repeats = []
    for change, network_input in changes:
        steps.begin(f"the scan {change}")
        other = map_again(classifier, explained, network_input)
        moved = np.subtract(other.peak_mm, plain.peak_mm)
        alike = spearman(plain.values, on_grid(other, grid))
        repeats.append(Repeat(change, alike, float(np.linalg.norm(moved))))
    steps.end()
    return Stability(tuple(repeats))


def agreement(maps: Mapping[str, Saliency]) -> Agreement:
    """Compare maps of one answer: of several methods, or of the members of an ensemble.

    Parameters
    ----------
    maps
        By name; all of the same label and of the same network input.

    Raises
    ------
    SaliencyError
        If there are fewer than two.

    """
    if len(maps) < 2:
        raise SaliencyError("one map cannot agree with itself: two or more are needed")
    first = next(iter(maps.values()))
    grid = Grid(*first.extent)
    drawn = {name: on_grid(saliency, grid) for name, saliency in maps.items()}
    pairs = {(a, b): spearman(drawn[a], drawn[b]) for a, b in combinations(drawn, 2)}
    scaled = [values / (np.abs(values).max() or 1) for values in drawn.values()]
    spread = np.std(scaled, axis=0, dtype=np.float32)
    return Agreement(
        tuple(maps),
        pairs,
        replace(first, values=spread, affine=grid.affine, method="spread", sign="for"),
    )


def of_methods(
    classifier: Classifier,
    explained: Explanation,
    methods: Sequence[str],
    *,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> dict[str, Saliency]:
    """Return the maps of one answer by several methods, by their names.

    Raises
    ------
    SaliencyError
        If a method can make no map.
    CancelledError
        If `should_stop` said so.

    """
    steps = Steps(len(methods), progress, should_stop)
    maps = {}
    for method in methods:
        steps.begin(f"the map of {method}")
        options = replace(explained.options, method=method, layer=None)
        maps[method] = map_again(classifier, replace(explained, options=options))
    steps.end()
    return maps


def of_members(classifier: Classifier, explained: Explanation) -> dict[str, Saliency]:
    """Return the Grad-CAM of each member of an ensemble, from the answer that is there.

    Their mean is the map of the ensemble.

    Parameters
    ----------
    classifier
        An ensemble.
    explained
        Its Grad-CAM of the last feature map.

    Raises
    ------
    SaliencyError
        If the map is of another method or layer, or the network is a single one.

    """
    options = explained.options
    heads = classifier.heads.apart()
    if options.method != "gradcam" or options.layer is not None or len(heads) < 2:
        raise SaliencyError(
            "only the Grad-CAM of an ensemble's last feature map has members",
            remedy="Compare methods instead",
        )
    answer = explained.answer
    features = np.split(answer.features, len(heads), axis=1)
    pooled = np.split(answer.pooled_by_image, len(heads), axis=1)
    cells = np.float32(features[0].size / features[0].shape[1])
    maps = {}
    for number, head in enumerate(heads):
        weights = head.gradients(pooled[number], explained.score) / cells
        values = np.einsum("nf,nf...->n...", weights, features[number])
        maps[f"member {number + 1}"] = replace(
            explained.saliency, values=as_volume(values)
        )
    return maps


def _shifted(case: NetworkInput) -> Iterator[tuple[str, NetworkInput]]:
    """Yield the input moved by a voxel along each axis, with the affine moved back."""
    for axis in range(case.array.ndim - 2):
        for step in (1, -1):
            kept = np.clip(
                np.arange(case.array.shape[axis + 2]) - step,
                0,
                case.array.shape[axis + 2] - 1,
            )
            array: Array = np.take(case.array, kept, axis=axis + 2)
            move = np.eye(4)
            move[axis, 3] = -step
            grid = Grid(case.grid.shape, case.grid.affine @ move)
            words = f"shifted by {step:+d} voxel along axis {axis + 1}"
            yield words, replace(case, array=np.ascontiguousarray(array), grid=grid)


def _noisy(
    case: NetworkInput, rng: np.random.Generator
) -> Iterator[tuple[str, NetworkInput]]:
    ranges = channel_ranges(case.array)
    for share in _NOISE:
        noise = rng.standard_normal(case.array.shape, np.float32) * (share * ranges)
        array = (case.array + noise).astype(np.float32)
        yield f"with noise of {share:.0%} of its range", replace(case, array=array)
