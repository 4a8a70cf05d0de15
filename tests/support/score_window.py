"""A window whose Score panel scores a folder: ``STUDIES OUT MODEL`` as arguments.

Run as a script, in a process of its own that a test can kill.
"""

from __future__ import annotations

import sys
from pathlib import Path

from qtpy.QtCore import QTimer


def main(studies: Path, out: Path, model: Path) -> None:
    """Open the window, and press Score once the models are listed."""
    import napari
    from npe2 import PluginManager

    import napari_resonance
    from napari_resonance.classifier.bundle import load_bundle
    from napari_resonance.viewer.commands import score_panel_of

    # Whichever copy of the package is installed, this one is meant.
    manager = PluginManager.instance()
    manager.discover(include_npe1=False)
    if napari_resonance.__name__.replace("_", "-") not in manager:
        manager.register(str(Path(napari_resonance.__file__).with_name("napari.yaml")))
    panel = score_panel_of(napari.Viewer())

    def begin() -> None:
        if panel.search.is_busy:
            QTimer.singleShot(50, begin)
            return
        for n in range(panel.models.list.count()):
            panel.models.list.takeItem(n)
        panel.models.add([load_bundle(model)])
        panel.studies.set_path(studies)
        panel.out.set_path(out)
        panel.run_row.run_button.click()

    begin()
    napari.run()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
