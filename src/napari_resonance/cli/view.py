"""``resonance view``: scans in a napari window."""

from typing import TYPE_CHECKING

from napari_resonance.cli.options import Json, Paths
from napari_resonance.cli.output import Report
from napari_resonance.errors import ReadError

if TYPE_CHECKING:
    from rich.console import Console


def view(paths: Paths, as_json: Json = False) -> Report:
    """Open scans in napari, with the Classify panel; ends when the window closes."""
    from napari_resonance.cli.window import why_no_window

    for path in paths:
        if not path.exists():
            raise ReadError(
                "there is no such file or folder", source=path, remedy="Check the path"
            )
    obstacle = why_no_window()
    if obstacle is not None:
        raise obstacle
    from napari_resonance.viewer.open import open_paths

    open_paths(paths)
    return Report({"viewed": [str(path) for path in paths]}, _show_nothing)


def _show_nothing(console: "Console") -> None:
    """Leave the terminal as it is: the window has shown everything."""
