"""What every layer of ours carries in ``layer.metadata["resonance"]``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_resonance.geometry import FloatArray

if TYPE_CHECKING:
    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.scan import Scan
    from napari_resonance.viewer.classification import Asked
    from napari_resonance.viewer.measuring import Rows
    from napari_resonance.viewer.windows import Window

KEY = "resonance"


@dataclass(frozen=True, eq=False)
class Run:
    """One answer for a scan.

    Parameters
    ----------
    prediction
        The answer.
    place
        Where its map is highest, in words; empty where that cannot be said.
    ended
        When, in local time as ISO 8601: ``"2026-03-01T14:05:33"``.
    residual
        What each residual block did: rows as in a document; none if not looked at.

    """

    prediction: Prediction
    place: str
    ended: str
    residual: Rows = ()


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """Where a layer's data lie in the patient, and what they belong to.

    Parameters
    ----------
    scan
        The scan that is shown, or that a saliency map explains.
    affine
        4×4, spatial index (z, y, x) of the layer's data to RAS+ mm.
    role
        ``"scan"``, ``"saliency"``, or ``"mark"`` for places that were marked on a scan.
    value_range
        The lowest and highest value: what the contrast slider spans.
    prediction
        The latest answer for the scan, or the answer that a saliency map explains.
    place
        Where that answer's map is highest, in words.
    windows
        The windows that are offered for the scan.
    runs
        All answers for the scan, the latest last.
    asked
        What the network was asked last, for further maps of its answer.

    """

    scan: Scan
    affine: FloatArray
    role: Literal["scan", "saliency", "mark"] = "scan"
    value_range: tuple[float, float] | None = None
    prediction: Prediction | None = None
    place: str = ""
    windows: tuple[Window, ...] = ()
    runs: tuple[Run, ...] = ()
    asked: Asked | None = None

    @property
    def shown_run(self) -> Run | None:
        """The run whose answer is the latest that was shown."""
        found = (run for run in self.runs if run.prediction is self.prediction)
        return next(found, None)

    @property
    def is_color(self) -> bool:
        """Whether the last axis of the layer's data is red, green, blue."""
        return self.scan.color and self.role == "scan"

    def spatial_shape(self, data: Any) -> tuple[int, ...]:
        """Return the number of voxels of layer data along z, y and x."""
        if self.role == "mark":
            return 1, 1, 1
        shape = data.shape[:-1] if self.is_color else data.shape
        return tuple(int(n) for n in shape[-3:])


def record_of(layer: Any) -> LayerRecord | None:
    """Return the record of a napari layer, None for a layer that is not ours."""
    record = getattr(layer, "metadata", {}).get(KEY)
    return record if isinstance(record, LayerRecord) else None


def is_scan(layer: Any) -> bool:
    """Tell whether a layer of ours shows a scan."""
    record = record_of(layer)
    return record is not None and record.role == "scan"


def maps_of(layers: Iterable[Any], scan: Scan) -> list[tuple[Any, LayerRecord]]:
    """Return the layers that show saliency maps of a scan, with their records.

    Parameters
    ----------
    layers
        Of a viewer; the maps keep their order, the topmost last.
    scan
        Whose maps.

    """
    records = ((layer, record_of(layer)) for layer in layers)
    return [
        (layer, record)
        for layer, record in records
        if record is not None and record.role == "saliency" and record.scan is scan
    ]


def same_space(one: Scan, other: Scan) -> bool:
    """Tell whether the files say that two scans share millimetres.

    The frame of reference decides where both name one (PS3.3 C.7.4.1), else the study.
    """
    names = [scan.meta.get("frame_of_reference_uid") for scan in (one, other)]
    if all(names):
        return bool(names[0] == names[1])
    return one is other or bool(one.study and one.study == other.study)
