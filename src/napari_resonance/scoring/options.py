"""What can be asked of a run over many scans, and what it asks of a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.prediction import Prediction
from napari_resonance.classifier.stages import Answer, PreparedCase
from napari_resonance.cores import n_cores
from napari_resonance.scan import Scan


class Scorer(Protocol):
    """A model that scans can be scored with; `Classifier` is one.

    Parameters
    ----------
    name
        What it is called.
    sha256
        Hash of all that its answers depend on.
    labels
        Its answers, in order.

    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def labels(self) -> tuple[str, ...]: ...  # noqa: D102

    def prepare(
        self,
        scan: Scan,
        *,
        center_mm: Sequence[float] | None = None,
        force: bool = False,
    ) -> PreparedCase:
        """Make the network's input of a scan; needs no network."""

    def run(self, array: NDArray[np.float32]) -> Answer:
        """Run the network on ``(N, C, *spatial)``."""

    def judge(self, case: PreparedCase, answer: Answer) -> Prediction:
        """Say what an answer means; of the case's scan all but the voxels is there."""


Load = Callable[[str, str], Scorer]
"""Loads a model by name or path, for a device. A function of a module: reading
processes import it by its name."""


@dataclass(frozen=True)
class ScoreOptions:
    """How scans are scored.

    Parameters
    ----------
    force
        Score scans of a kind that the model was not made for, with a warning.
    device
        "auto", "cpu", "cuda" or "mps".
    readers
        Processes that read and prepare scans while the network runs, by default one
        for each core: what waits for the network is bounded, so they leave it the time
        it needs. Where scans are so large that reading one in each would take more than
        half of the memory that is available, fewer are at work, but two. 0 reads in
        this process, without a time limit.
    time_limit
        Seconds that reading and preparing the scans of one file, series or archive may
        take.
    prefetch_bytes
        How much prepared input may wait for the network.
    retry_failed
        Score once more what failed in an earlier run.
    identifiers
        Write sources and identifiers as they are, not hashed.
    series
        Rule that chooses the scans, such as ``modality=MR and slices>=20``.
    study
        "max", "mean" or "first": join the answers to each study so, in a table of
        their own.
    workers
        Processes on this machine that each read and score scans, by dask.distributed;
        0 for `readers` ahead of one network.
    scheduler
        Address of a dask scheduler whose workers do so, such as ``tcp://host:8786``.
    maps
        Write a saliency map and a thumbnail of each scan, in a folder ``saliency``.

    """

    force: bool = False
    device: str = "auto"
    readers: int = field(default_factory=n_cores)
    time_limit: float = 600.0
    prefetch_bytes: int = 1 << 28
    retry_failed: bool = False
    identifiers: bool = False
    series: str = ""
    study: str = ""
    workers: int = 0
    scheduler: str = ""
    maps: bool = False

    @property
    def sha256(self) -> str:
        """Hash of those options that change what comes of a scan."""
        asked = {"force": self.force} | ({"maps": True} if self.maps else {})
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
