"""A model that waits as long as it is told, for runs that measure all but the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_resonance.classifier.prediction import Prediction
from napari_resonance.classifier.stages import Answer, PreparedCase
from napari_resonance.geometry import Grid
from napari_resonance.preprocessing import NetworkInput
from napari_resonance.scan import Scan


@dataclass(frozen=True)
class Stub:
    """Says the same of every scan.

    Parameters
    ----------
    name
        ``"stub-READ-NETWORK"``: milliseconds that preparing a scan and a forward pass
        of it take.

    """

    name: str
    labels: tuple[str, ...] = ("one", "other")

    @property
    def sha256(self) -> str:
        """Its name."""
        return self.name

    def prepare(
        self,
        scan: Scan,
        *,
        center_mm: Sequence[float] | None = None,
        force: bool = False,
    ) -> PreparedCase:
        """Wait; return a small input."""
        time.sleep(int(self.name.split("-")[1]) / 1000)
        array = np.zeros((1, 1, 8, 8, 8), np.float32)
        network_input = NetworkInput(array, Grid((8, 8, 8), scan.affine))
        return PreparedCase(scan, network_input, "", ())

    def run(self, array: NDArray[np.float32]) -> Answer:
        """Wait; return the answers to a batch."""
        time.sleep(len(array) * int(self.name.split("-")[2]) / 1000)
        logits = np.zeros((len(array), 2), np.float32)
        return Answer(logits, np.zeros((len(array), 1, 1, 1, 1), np.float32))

    def judge(self, case: PreparedCase, answer: Answer) -> Prediction:
        """Return a prediction of the usual size."""
        return Prediction(
            label="one",
            probability=0.75,
            probabilities={"one": 0.75, "other": 0.25},
            logits=(0.5, 0.5),
            sure=True,
            prediction_set=("one",),
            out_of_distribution=None,
            warnings=(),
            seconds=0.0,
            source="",
            model=self.name,
            model_sha256="0" * 64,
            recipe_sha256="0" * 64,
        )


def load(name: str, device: str) -> Stub:
    """Return the stub of a name."""
    return Stub(name)
