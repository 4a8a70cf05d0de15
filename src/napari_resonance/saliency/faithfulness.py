"""How well a map says what the network looked at, measured on the scan itself.

Voxels are taken away in the order of the map, the most important first, and the
probability of the explained label is followed (deletion); or they are put back into
the blurred scan (insertion; Petsiuk et al., BMVC 2018). A map that knows where the
network looked brings the probability down, or up, sooner than a random order of the
same grain does. What is taken away is replaced by the blurred scan, not by black: black
is evidence of its own (the edge of a mask, air, the outside of a head).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.stages import Steps
from napari_resonance.geometry import FloatArray
from napari_resonance.progress import Progress, ShouldStop, never, no_progress
from napari_resonance.saliency.baseline import baseline_of
from napari_resonance.saliency.cells import as_volume
from napari_resonance.saliency.similarity import check_uneven, on_grid

if TYPE_CHECKING:
    from napari_resonance.classifier.predict import Classifier
    from napari_resonance.saliency.explain import Explanation

Array = NDArray[np.float32]
Version = Literal["quick", "full"]

_INTERIOR = {"quick": 7, "full": 15}
_ORDERS = {"quick": 1, "full": 5}
# What is gained by less, on average of both ways, may be luck, as a share of what the
# curves span: that of a random order varies by 0.05 to 0.1 from one draw to the next.
_MARGIN = 0.1
_SHARES = (0.1, 0.3, 0.5)
_SUBSETS = 16


@dataclass(frozen=True)
class Curves:
    """Probability of the label, with 0 to 100 % of the voxels taken away or put back.

    Parameters
    ----------
    deletion, insertion
        At equally spaced shares from 0 to 1; both ends are shared by all orders.

    """

    deletion: tuple[float, ...]
    insertion: tuple[float, ...]

    @property
    def deletion_auc(self) -> float:
        """Area under the deletion curve: the lower, the more faithful the map."""
        return _area(self.deletion)

    @property
    def insertion_auc(self) -> float:
        """Area under the insertion curve: the higher, the more faithful the map."""
        return _area(self.insertion)


@dataclass(frozen=True)
class Faithfulness:
    """What deletion and insertion say of a map.

    Parameters
    ----------
    version
        ``"quick"`` or ``"full"``.
    curves
        Of the map.
    random
        Of random orders of the map's grain on the same scan.
    edges
        Of the scan's own edges, a baseline that knows nothing of the network
        (Adebayo et al., NeurIPS 2018); None in the quick version.
    sensitivity
        Correlation, over random sets of cells, of what the map says of a set with what
        taking it away takes from the score (sensitivity-n; Ancona et al., ICLR 2018);
        None in the quick version, or where it is not defined.
    forwards
        How often the network ran over the whole case.

    """

    version: Version
    curves: Curves
    random: tuple[Curves, ...]
    edges: Curves | None
    sensitivity: float | None
    forwards: int

    @property
    def better_than_chance(self) -> bool:
        """Whether the map beats each random order, both ways, by more than luck."""
        curves = (self.curves, *self.random)
        values = [p for c in curves for p in (*c.deletion, *c.insertion)]
        gain = (_gain(self, "deletion") + _gain(self, "insertion")) / 2
        return gain >= _MARGIN * (max(values) - min(values)) and all(
            self.curves.deletion_auc < r.deletion_auc
            and self.curves.insertion_auc > r.insertion_auc
            for r in self.random
        )

    @property
    def sentence(self) -> str:
        """What it comes to, in words."""
        away, back = (_percent(_gain(self, w)) for w in ("deletion", "insertion"))
        if self.better_than_chance:
            return (
                "the map is better than chance: what it marks matters to the network "
                f"(deletion {away}, insertion {back} of the probability better than a "
                "random order)"
            )
        gains = _gain(self, "deletion"), _gain(self, "insertion")
        hardly = "hardly" if min(gains) > 0 else "not"
        return (
            f"the map is {hardly} better than chance on this scan: do not rely on it "
            f"(deletion {away}, insertion {back} of the probability better than a "
            "random order)"
        )

    @property
    def rivals(self) -> str:
        """What the full version adds, in words; empty in the quick one."""
        if self.edges is None:
            return ""
        away = self.edges.deletion_auc - self.curves.deletion_auc
        back = self.curves.insertion_auc - self.edges.insertion_auc
        better = "better" if min(away, back) > 0 else "not better"
        text = (
            f"the map is {better} than the scan's own edges, which know nothing of the "
            f"network (deletion {_percent(away)}, insertion {_percent(back)} of the "
            "probability better)"
        )
        if self.sensitivity is None:
            return text
        return (
            f"{text}; what it says of random parts of the scan and what taking them "
            f"away does correlate by {self.sensitivity:.2f} (sensitivity-n)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the ``faithfulness`` entry of a document."""
        edges = self.edges
        return {
            "version": self.version,
            "deletion_auc": self.curves.deletion_auc,
            "insertion_auc": self.curves.insertion_auc,
            "random_deletion_auc": _mean(r.deletion_auc for r in self.random),
            "random_insertion_auc": _mean(r.insertion_auc for r in self.random),
            "edge_deletion_auc": None if edges is None else edges.deletion_auc,
            "edge_insertion_auc": None if edges is None else edges.insertion_auc,
            "sensitivity_n": self.sensitivity,
            "better_than_chance": self.better_than_chance,
            "deletion": list(self.curves.deletion),
            "insertion": list(self.curves.insertion),
            "forwards": self.forwards,
            "sentence": self.sentence,
            "rivals": self.rivals,
        }


def faithfulness(
    classifier: Classifier,
    explained: Explanation,
    *,
    version: Version = "quick",
    seed: int = 0,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> Faithfulness:
    """Measure how well a map says what the network looked at.

    Parameters
    ----------
    classifier
        Who answered.
    explained
        What it was asked, what it answered, and the map.
    version
        ``"quick"``: 7 shares between the ends, one random order: 30 runs of the
        network. ``"full"``: 15 shares, five random orders, the scan's edges and
        sensitivity-n.
    seed
        Of the random orders.
    progress, should_stop
        Called for each run of the network.

    Raises
    ------
    SaliencyError
        If the map is the same everywhere: it gives no order.
    CancelledError
        If `should_stop` said so.

    """
    check_uneven(explained.saliency)
    runs = _Runs(classifier, explained, Steps(1, progress, should_stop))
    random = np.random.default_rng(seed)
    interior, n_orders = _INTERIOR[version], _ORDERS[version]
    orders = [_on_input(explained, explained.saliency.values)]
    orders += [
        _on_input(explained, random.random(explained.saliency.values.shape, np.float32))
        for _ in range(n_orders)
    ]
    if version == "full":
        orders.append(_edges(runs.original))
    variants = 2 * interior * len(orders) + 2
    runs.expect(variants + (len(_SHARES) * _SUBSETS if version == "full" else 0))
    start, end = (runs.probability(x) for x in (runs.original, runs.blurred))
    curves = [_curves(runs, order, interior, (start, end)) for order in orders]
    sensitivity = None
    if version == "full":
        sensitivity = _sensitivity(runs, explained, random)
    return Faithfulness(
        version=version,
        curves=curves[0],
        random=tuple(curves[1 : 1 + n_orders]),
        edges=curves[-1] if version == "full" else None,
        sensitivity=sensitivity,
        forwards=runs.done,
    )


class _Runs:
    """Runs the network over changed inputs, and counts."""

    def __init__(
        self, classifier: Classifier, explained: Explanation, steps: Steps
    ) -> None:
        self.original = explained.case.network_input.array
        self.blurred = baseline_of(self.original, "blur")
        self.done = 0
        self._classifier, self._explained, self._steps = classifier, explained, steps

    def expect(self, runs: int) -> None:
        """Say how many runs are foreseen."""
        self._steps.total = runs

    def changed(self, away: NDArray[np.bool_]) -> Array:
        """Return the input with voxels ``(x, y, z)`` replaced by the blurred ones."""
        return np.where(
            _as_input(away, self.original.ndim), self.blurred, self.original
        )

    def logits(self, array: Array) -> FloatArray:
        """Return the logits of a changed input, averaged over slices."""
        self._steps.begin("measuring how faithful the map is")
        self.done += 1
        found: FloatArray = self._classifier.run(array).logits.mean(
            axis=0, dtype=np.float64
        )
        return found

    def score(self, array: Array) -> float:
        """Return what the map explains: the logit, or the difference of two."""
        return float(self.logits(array) @ self._explained.score)

    def probability(self, array: Array) -> float:
        """Return the label's calibrated probability, among the contrasted ones."""
        calibration = self._classifier.bundle.calibration
        shares = calibration.probabilities(self.logits(array))
        score = self._explained.score
        asked = float(shares[score > 0].sum())
        if not (score < 0).any():
            return asked
        return asked / (asked + float(shares[score < 0].sum()))


def _curves(
    runs: _Runs, order: Array, interior: int, ends: tuple[float, float]
) -> Curves:
    """Take voxels away, and put them back, in the order of falling values."""
    places = np.empty(order.size, np.int64)
    places[np.argsort(-order, axis=None, kind="stable")] = np.arange(order.size)
    rank = places.reshape(order.shape)
    shares = np.linspace(0, 1, interior + 2)[1:-1] * order.size
    deletion = [runs.probability(runs.changed(rank < n)) for n in shares]
    insertion = [runs.probability(runs.changed(rank >= n)) for n in shares]
    start, end = ends
    return Curves((start, *deletion, end), (end, *insertion, start))


def _sensitivity(
    runs: _Runs, explained: Explanation, random: np.random.Generator
) -> float | None:
    """Return the mean correlation over sets of each size, None without any."""
    values = explained.saliency.values
    whole = float(explained.answer.logits.mean(axis=0) @ explained.score)
    found = []
    for share in _SHARES:
        said, lost = [], []
        for _ in range(_SUBSETS):
            chosen = random.random(values.shape) < share
            said.append(float(values[chosen].sum()))
            away = _on_input(explained, chosen.astype(np.float32)) > 0.5
            lost.append(whole - runs.score(runs.changed(away)))
        if np.ptp(said) > 0 and np.ptp(lost) > 0:
            found.append(float(np.corrcoef(said, lost)[0, 1]))
    return float(np.mean(found)) if found else None


def _edges(array: Array) -> Array:
    """Return the strength of the input's edges ``(x, y, z)``."""
    from scipy import ndimage

    squares = (
        ndimage.gaussian_gradient_magnitude(as_volume(array[:, c]), 1.0) ** 2
        for c in range(array.shape[1])
    )
    strength: Array = np.sqrt(sum(squares))
    return strength


def _on_input(explained: Explanation, values: Array) -> Array:
    """Bring values of the map's grid onto the voxels of the network's input."""
    grid = explained.case.network_input.grid
    return on_grid(replace(explained.saliency, values=values), grid)


def _as_input(volume: NDArray[np.bool_], ndim: int) -> NDArray[np.bool_]:
    """Return a volume with axes as in the network's input, for all channels."""
    return volume[None, None] if ndim == 5 else np.moveaxis(volume, -1, 0)[:, None]


def _area(values: Sequence[float]) -> float:
    return float(np.trapezoid(values, dx=1 / (len(values) - 1)))


def _mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))


def _percent(share: float) -> str:
    """Return a difference in whole per cent; nothing is never less than nothing."""
    return f"{round(100 * share)}%"


def _gain(found: Faithfulness, way: Literal["deletion", "insertion"]) -> float:
    """Return by how much the map beats the mean of the random orders."""
    name = f"{way}_auc"
    by_chance = _mean(getattr(r, name) for r in found.random)
    gain = float(getattr(found.curves, name)) - by_chance
    return -gain if way == "deletion" else gain
