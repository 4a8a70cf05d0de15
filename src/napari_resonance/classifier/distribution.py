"""Tell whether a scan looks like the training scans, and if not, in what respect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.classifier.prediction import OutOfDistribution
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing.recipe import NetworkInput
from napari_resonance.scan import Scan

FloatArray = NDArray[np.float64]

# What is measured on the network's input, and what it means to lie outside.
DESCRIPTORS = {
    "foreground": ("too little of it is bright", "too much of it is bright"),
    "roughness": ("it is unusually smooth", "it looks like noise"),
    "symmetry": ("its left and right halves do not match, as a head's do", ""),
    "coverage": ("it covers too little of the head", ""),
}
# And of each of several channels.
CHANNEL_DESCRIPTORS = {
    **DESCRIPTORS,
    "level": ("it is darker than in the training scans", "it is unusually bright"),
    "agreement": (
        "its channels do not go together as in the training scans",
        "its channels are more alike than in the training scans",
    ),
}
_UNLIKE = "its contrast is unlike that of the training scans"


@dataclass(frozen=True, eq=False)
class TrainingStatistics:
    """Where the training scans lie in the network's feature space.

    Parameters
    ----------
    means
        ``(K, F)`` mean pooled features of each label.
    whitening
        ``(F, F)`` matrix W with ``W @ W.T`` the inverse of the shrunk covariance within
        labels (Ledoit & Wolf 2004), so that ``|(x - mean) @ W|`` is the Mahalanobis
        distance (Lee et al. 2018).
    limit
        Distance beyond which a scan is flagged.
    lowest, highest
        Limits of what `measure` finds in the network's input: ``(C, 6)`` where that has
        several channels. ``(4,)`` are those of one channel, and of models that were
        made when the first channel alone was looked at.

    """

    means: FloatArray
    whitening: FloatArray
    limit: float
    lowest: FloatArray
    highest: FloatArray

    def distance(self, features: ArrayLike) -> float:
        """Return the Mahalanobis distance of features ``(F,)`` to the nearest label."""
        difference = np.asarray(features, np.float64) - self.means
        return float(np.linalg.norm(difference @ self.whitening, axis=1).min())

    def assess(
        self,
        features: ArrayLike,
        network_input: NetworkInput,
        scan: Scan,
        channels: Sequence[str] = (),
    ) -> OutOfDistribution:
        """Tell how unlike the training scans a scan is, and in which respect.

        Parameters
        ----------
        features
            ``(F,)`` mean of the last feature map over its cells.
        network_input
            What the network was given.
        scan
            Where it came from; its header may say that it is no such scan.
        channels
            What the channels of the input are called.

        """
        score = self.distance(features) / self.limit
        reasons = list(_header_reasons(scan))
        is_volume = network_input.array.ndim == 5
        if is_volume and not scan.oriented:
            reasons.append("its orientation is not known")
        reasons += self._outside(network_input.array, channels)
        if score > 1:
            reasons.append(_UNLIKE)
        # A reason from header or input flags the scan whatever the features say.
        score = max(score, 1.0 + 1e-6) if reasons else score
        return OutOfDistribution(score, bool(reasons), "; ".join(reasons))

    def _outside(
        self, array: NDArray[np.float32], channels: Sequence[str]
    ) -> list[str]:
        """Say what of an input lies beyond the limits, and in which channels."""
        measured = describe(array) if self.lowest.ndim == 1 else measure(array)
        values, low, high = map(np.atleast_2d, (measured, self.lowest, self.highest))
        reasons = []
        for n, texts in enumerate(
            list(CHANNEL_DESCRIPTORS.values())[: values.shape[1]]
        ):
            sides = values[:, n] < low[:, n], values[:, n] > high[:, n]
            for found, text in zip(sides, texts, strict=True):
                if text and found.any():
                    reasons.append(text + _of_channels(found, channels))
        return reasons

    def save(self, path: Path) -> None:
        """Write the statistics as safetensors."""
        from safetensors.numpy import save

        arrays = {n: np.ascontiguousarray(getattr(self, n)) for n in _ARRAYS}
        # safetensors' save_file makes files that only their owner may read.
        path.write_bytes(save(arrays | {"limit": np.array([self.limit])}))

    @classmethod
    def from_file(cls, path: Path) -> TrainingStatistics:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            If an array is missing or of a wrong shape.

        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            arrays = load_file(path)
            values = {n: np.asarray(arrays[n], np.float64) for n in _ARRAYS}
            limit = float(arrays["limit"][0])
        except (OSError, SafetensorError, KeyError, IndexError) as error:
            raise ModelError(
                f"the statistics of the training scans are damaged: {error}",
                source=path,
                remedy="Get the model again",
            ) from error
        if not _fit_together(values) or not 0 < limit < np.inf:
            raise ModelError("the training statistics do not fit together", source=path)
        return cls(**values, limit=limit)


def _fit_together(values: Mapping[str, FloatArray]) -> bool:
    means = values["means"]
    limits: tuple[int, ...] = values["lowest"].shape
    several = len(limits) == 2 and limits[0] > 1
    wanted: tuple[int, ...] = (len(DESCRIPTORS),)
    if several:
        wanted = limits[0], len(CHANNEL_DESCRIPTORS)
    shapes = {
        "whitening": (means.shape[-1],) * 2 if means.ndim == 2 else (),
        "lowest": wanted,
        "highest": wanted,
    }
    finite = all(bool(np.isfinite(v).all()) for v in values.values())
    right = all(values[n].shape == shape for n, shape in shapes.items())
    return finite and right and means.ndim == 2 and means.size > 0


_ARRAYS = ("means", "whitening", "lowest", "highest")


def _of_channels(found: NDArray[np.bool_], names: Sequence[str]) -> str:
    """Return the names of some of the channels, nothing where it is all of them."""
    chosen = np.flatnonzero(found)
    if len(chosen) == len(found):
        return ""
    known = [*names] if len(set(names)) == len(found) else []
    texts = [known[n] if known else f"channel {n + 1}" for n in chosen.tolist()]
    return f" ({' and '.join(texts)})"


def _header_reasons(scan: Scan) -> list[str]:
    reasons = []
    if scan.n_times > 1:
        reasons.append(f"it is a series of {scan.n_times} volumes, not one")
    b_value = scan.meta.get("diffusion_b_value")
    if _is_diffusion(scan.meta, b_value):
        reasons.append("its header says that it is a diffusion scan")
    return reasons


def _is_diffusion(meta: Mapping[str, Any], b_value: object) -> bool:
    image_type = meta.get("image_type", ())
    kinds = (
        {str(k).upper() for k in image_type}
        if not isinstance(image_type, str)
        else set()
    )
    weighted = isinstance(b_value, int | float) and b_value > 0
    return weighted or bool(kinds & {"DIFFUSION", "ADC", "TRACEW", "FA"})


def measure(array: NDArray[np.float32]) -> FloatArray:
    """Return what tells whether a `NetworkInput.array` is like the training inputs.

    Returns
    -------
    ndarray
        ``(4,)``, see `describe`; where there are several channels ``(C, 6)``: these of
        each channel, its mean, and its correlation with the mean of the others.

    """
    n = array.shape[1]
    if n == 1:
        return describe(array)
    channels = np.moveaxis(array, 1, 0).reshape(n, -1).astype(np.float64)
    total = channels.sum(axis=0)
    rows = []
    for number, values in enumerate(channels):
        agreement = _correlation(values, total - values)
        own = describe(array[:, number : number + 1])
        rows.append([*own, float(values.mean()), agreement])
    return np.array(rows)


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Return Pearson's correlation, 0 where one of them is the same everywhere."""
    if not one.std() > 1e-9 or not other.std() > 1e-9:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def describe(array: NDArray[np.float32]) -> FloatArray:
    """Return the descriptors of an input's first channel, as in `DESCRIPTORS`.

    The share of the box that is foreground, the mean difference between neighbouring
    foreground voxels, the correlation of the left half with the mirrored right half,
    and the share of slices with foreground.
    """
    # The slices of a 2D input are one volume; columns run from side to side.
    volume = array[0, 0] if array.ndim == 5 else array[:, 0].transpose(2, 1, 0)
    volume = volume.astype(np.float64)
    inside = volume > 0
    foreground = float(inside.mean())
    differences, pairs = 0.0, 0
    for axis in range(volume.ndim):
        a, b = np.moveaxis(volume, axis, 0)[1:], np.moveaxis(volume, axis, 0)[:-1]
        both = (a > 0) & (b > 0)
        differences += float(np.abs(a - b)[both].sum())
        pairs += int(both.sum())
    roughness = differences / max(pairs, 1)
    mirrored = volume[::-1].ravel()
    spread = volume.std()
    symmetry = float(np.corrcoef(volume.ravel(), mirrored)[0, 1]) if spread > 0 else 0.0
    coverage = float(inside.any(axis=(0, 1)).mean())
    return np.array([foreground, roughness, symmetry, coverage])


def fit_statistics(
    features: ArrayLike,
    targets: ArrayLike,
    limit: float,
    descriptor_range: tuple[FloatArray, FloatArray],
) -> TrainingStatistics:
    """Fit the statistics of training features.

    Parameters
    ----------
    features
        ``(n, F)`` pooled features of training scans (augmented copies included).
    targets
        ``(n,)`` index of the label.
    limit
        Distance beyond which a scan is flagged, chosen on held-out patients.
    descriptor_range
        Lowest and highest allowed of what `measure` finds.

    """
    from sklearn.covariance import LedoitWolf

    values, labels = np.asarray(features, np.float64), np.asarray(targets)
    means = np.stack([values[labels == k].mean(axis=0) for k in np.unique(labels)])
    centered = values - means[np.searchsorted(np.unique(labels), labels)]
    covariance = LedoitWolf(assume_centered=True).fit(centered).covariance_
    # Few scans, or a network that says the same of all, leave directions without any
    # spread: they get a little, for the inverse would not be finite.
    least = 1e-6 * float(np.mean(values**2)) + 1e-12
    spread, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    precision = (axes / np.maximum(spread, least)) @ axes.T
    whitening = np.linalg.cholesky((precision + precision.T) / 2)
    return TrainingStatistics(means, whitening, limit, *descriptor_range)
