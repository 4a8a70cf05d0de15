"""Make the pictures of the window that README and documentation show.

Drives a real napari window: opens a sample scan through the panel, presses Classify,
waits for the answer, and takes the picture. On Linux without a screen::

    xvfb-run -a -s "-screen 0 1920x1080x24" python docs/scripts/make_screenshots.py

The Fine-tune panel is taken with labelled scans of yours, if ``--labels`` names them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_resonance.samples import sample_path

IMAGES = Path(__file__).parents[1] / "images"

# Name of the picture: sample that it shows. The series panel lists all of them.
PICTURES = {"classify-panel": "icbm-t1", "classify-oblique": "oblique-pd"}
SERIES, PLANES = "series-panel", "three-planes"
FINETUNE = "finetune-panel"
MAX_BYTES = 600_000
WAIT_MS, STEP_MS, SETTLE_MS = 120_000, 20, 1500


def main() -> None:
    """Make the pictures that are asked for, all by default."""
    # An empty name keeps napari's settings in memory: nobody's own change the pictures.
    os.environ["NAPARI_CONFIG"] = ""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", default=[*PICTURES, SERIES, PLANES], help="of pictures"
    )
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder")
    parser.add_argument("--size", default="1280x800", help="of the window")
    parser.add_argument("--theme", default="dark", choices=["dark", "light"])
    parser.add_argument("--model", type=Path, help="folder of another model")
    parser.add_argument("--labels", type=Path, help=f"table, for {FINETUNE}")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        viewer = new_window(options)
        if name == SERIES:
            list_series(viewer)
        elif name == FINETUNE:
            fine_tune(viewer, options.labels)
        else:
            classify(viewer, name, options)
        if name == PLANES:
            show_planes(viewer)
        rest(SETTLE_MS)
        picture = viewer.screenshot(canvas_only=False, flash=False)
        save(picture, options.out / f"{name}.png")
        viewer.close()


def new_window(options: argparse.Namespace) -> Any:
    """Return a window of the size and theme that are asked for."""
    import napari

    viewer = napari.Viewer(title="Resonance", show=False)
    viewer.theme = options.theme
    width, height = (int(n) for n in options.size.split("x"))
    viewer.window.show()
    viewer.window.set_geometry(0, 0, width, height)
    return viewer


def list_series(viewer: Any) -> None:
    """List all samples as if they were a study, and open the first."""
    from napari_resonance.viewer.commands import panel_of, series_panel_of

    classify_panel = panel_of(viewer)
    wait_until(lambda: not classify_panel.model_search.is_busy)
    panel = series_panel_of(viewer)
    panel.open_paths([sample_path()])
    wait_until(lambda: not panel.runner.is_busy and not panel.thumbnails.is_busy)
    panel.open_chosen()
    wait_until(lambda: bool(viewer.layers) and not panel.runner.is_busy)
    series_panel_of(viewer)


def fine_tune(viewer: Any, labels: Path) -> None:
    """Train on labelled scans, quickly, with one of them open."""
    from napari_resonance.viewer.commands import finetune_panel_of

    panel = finetune_panel_of(viewer)
    panel.read_labels(labels)
    wait_until(lambda: not panel.runner.is_busy and not panel.search.is_busy)
    panel.labels.open_wanted.emit(panel.labels.model.rows[0])
    wait_until(lambda: bool(viewer.layers) and not panel.opener.is_busy)
    panel.form.preset.setCurrentIndex(panel.form.preset.findData("quick"))
    with tempfile.TemporaryDirectory() as folder:
        panel.form.place.setText(str(Path(folder, "my-model")))
        panel.train_row.run_row.run_button.click()
        wait_until(lambda: not panel.runner.is_busy)


def classify(viewer: Any, name: str, options: argparse.Namespace) -> None:
    """Open a sample and classify it."""
    from napari_resonance.viewer.commands import panel_of

    panel = panel_of(viewer)
    wait_until(lambda: not panel.model_search.is_busy)
    if options.model is not None:
        panel.model_picker.folder_chosen.emit(options.model)
        wait_until(lambda: not panel.runner.is_busy)
    panel.open_paths([sample_path(PICTURES.get(name, "icbm-t1"))])
    wait_until(lambda: bool(viewer.layers) and not panel.runner.is_busy)
    panel.run_row.run_button.click()
    wait_until(lambda: not panel.runner.is_busy)


def show_planes(viewer: Any) -> None:
    """Show the other two planes."""
    from napari_resonance.viewer import commands

    commands.show_planes(viewer)


def wait_until(condition: Callable[[], bool]) -> None:
    """Let the window live until a condition holds.

    Raises
    ------
    TimeoutError
        If it does not hold in time.

    """
    for _ in range(WAIT_MS // STEP_MS):
        if condition():
            return
        rest(STEP_MS)
    raise TimeoutError("the window did not come to rest")


def rest(milliseconds: int) -> None:
    """Let the window live for a while."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def save(picture: Any, path: Path) -> None:
    """Write a PNG of at most `MAX_BYTES`, with fewer colours where it has to be."""
    from PIL import Image

    image = Image.fromarray(picture[..., :3])
    image.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
