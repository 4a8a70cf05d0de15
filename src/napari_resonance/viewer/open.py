"""The window of the command line: ``resonance view`` and ``resonance demo``."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from napari_resonance.errors import ReadError

if TYPE_CHECKING:
    import napari

    from napari_resonance.classifier.prediction import Prediction
    from napari_resonance.scan import Scan

_TITLE = "Resonance"


def open_paths(paths: Iterable[str | PathLike[str]]) -> None:
    """Open scans in a napari window with the Classify panel; returns when it closes.

    Parameters
    ----------
    paths
        Files and folders; without any the window opens empty.

    Raises
    ------
    ReadError
        If one of them is not there. What else is wrong the panel says.

    """
    import napari

    sources = [Path(p) for p in paths]
    for source in sources:
        if not source.exists():
            raise ReadError("there is no such file or folder", source=source)
    show_paths(_window(), sources)
    napari.run()


def open_result(scan: Scan, prediction: Prediction) -> None:
    """Open a window on a scan, its answer and its map; returns when it closes."""
    import napari

    show_prediction(_window(), scan, prediction)
    napari.run()


def show_paths(viewer: napari.viewer.Viewer, paths: list[Path]) -> None:
    """Open the panel in a window and let it read the scans."""
    from napari_resonance.viewer.commands import panel_of

    panel = panel_of(viewer)
    if paths:
        panel.open_paths(paths)


def show_prediction(
    viewer: napari.viewer.Viewer, scan: Scan, prediction: Prediction
) -> None:
    """Open the panel in a window and show an answer that is there already."""
    from napari_resonance.viewer.classification import classified
    from napari_resonance.viewer.commands import panel_of
    from napari_resonance.viewer.layers import scan_layer
    from napari_resonance.viewer.viewer_actions import add_scans

    panel = panel_of(viewer)
    (layer,) = add_scans(viewer, [scan_layer(scan)])
    shown = classified(scan, prediction, body_part=_body_part(prediction.model))
    panel.show_result(layer, shown)


def _body_part(model: str) -> str:
    from napari_resonance.classifier.bundle import list_models

    cards = (bundle.card for bundle in list_models())
    return next((card.body_part for card in cards if card.name == model), "")


def _window() -> napari.viewer.Viewer:
    import napari

    return napari.Viewer(title=_TITLE)
