"""Whether the parts of a model folder belong together: what loading takes on trust."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from napari_resonance.classifier import openvino_engine
from napari_resonance.classifier.bundle import Bundle
from napari_resonance.classifier.engines import load_network
from napari_resonance.classifier.exporting import differences
from napari_resonance.errors import ModelError


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name
        What.
    passed
        Whether it is as it should be.
    finding
        What was found, as a sentence without a final full stop.

    """

    name: str
    passed: bool
    finding: str

    def to_json(self) -> dict[str, Any]:
        """Return the check as ``--json`` prints it."""
        return asdict(self)


def verify(bundle: Bundle) -> list[Check]:
    """Look at all that an answer of a model depends on.

    That the files are whole, as they were written and literal was found by loading the
    bundle. Here the weights are put into the network that is defined, and a converted
    network that came with the model, which is what runs on a CPU, is compared with it.

    """
    files = Check("files", not bundle.warnings, "; ".join(bundle.warnings) or _WHOLE)
    looks: dict[str, Callable[[Bundle], Check]] = {
        "weights": _weights,
        "conversion": _conversion,
    }
    checks = [files]
    for name, look in looks.items():
        try:
            checks.append(look(bundle))
        except ModelError as error:
            checks.append(Check(name, False, error.message))
    return checks


_WHOLE = "whole, as they were written, and without expressions"


def _weights(bundle: Bundle) -> Check:
    network = load_network(bundle)
    count = sum(tensor.numel() for tensor in network.parameters())
    finding = f"{count:,} parameters, all finite, fit the network that is defined"
    return Check("weights", True, finding)


def _conversion(bundle: Bundle) -> Check:
    name = "conversion"
    if not bundle.converted:
        return Check(name, True, "none came with the model; it is made where needed")
    if not openvino_engine.is_installed():
        return Check(name, True, "not looked at: OpenVINO is not installed, nor used")
    model = openvino_engine.shipped_model(bundle)
    if model is None:
        finding = "is not that of these weights and is not used; another is made"
        return Check(name, False, finding)
    apart = differences(bundle, openvino_engine.OpenVinoEngine(model).run)
    answers = "as the weights do" if apart.are_small else "differently than the weights"
    return Check(name, apart.are_small, f"answers {answers}: {apart}")
