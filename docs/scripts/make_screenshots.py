"""Make the pictures of the window that README and documentation show.

Drives a real napari window: opens a sample scan through the panel, presses Classify,
waits for the answer, and takes the picture. On Linux without a screen::

    xvfb-run -a -s "-screen 0 1920x1080x24" python docs/scripts/make_screenshots.py

The Fine-tune panel is taken with labelled scans of yours, if ``--labels`` names their
table. ``panel_states.py`` beside it takes every panel in every state.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from window import new_window, picture_of, rest, save, save_film, wait_until

from napari_resonance.samples import sample_path

IMAGES = Path(__file__).parents[1] / "images"
STEP_MS, FRAME_MS = 120, 1600


def main() -> None:
    """Make the pictures that are asked for, those without labels by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SCENES)}")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder")
    parser.add_argument("--size", default="1280x800", help="of the window")
    parser.add_argument("--theme", default="dark", choices=["dark", "light"])
    parser.add_argument("--labels", type=Path, help="table of labelled scans")
    options = parser.parse_args()
    with_labels = {"finetune-panel"} if options.labels is None else set()
    for name in options.names or [n for n in SCENES if n not in with_labels]:
        viewer = new_window(options.size, options.theme)
        SCENES[name](viewer, options)
        if name != FILM:
            save(picture_of(viewer), options.out / f"{name}.webp")
        viewer.close()


def list_series(viewer: Any, options: argparse.Namespace) -> None:
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


def fine_tune(viewer: Any, options: argparse.Namespace) -> None:
    """Train on labelled scans, quickly, with one of them open."""
    from napari_resonance.viewer.commands import finetune_panel_of

    panel = finetune_panel_of(viewer)
    panel.read_labels(options.labels)
    wait_until(lambda: not panel.runner.is_busy and not panel.search.is_busy)
    panel.labels.open_wanted.emit(panel.labels.model.rows[0])
    wait_until(lambda: bool(viewer.layers) and not panel.opener.is_busy)
    panel.form.preset.setCurrentIndex(panel.form.preset.findData("quick"))
    with tempfile.TemporaryDirectory() as folder:
        panel.form.place.setText(str(Path(folder, "my-model")))
        panel.train_row.run_row.run_button.click()
        wait_until(lambda: not panel.runner.is_busy)


def score(viewer: Any, options: argparse.Namespace) -> None:
    """Score the samples, or the labelled scans, and look at the first row."""
    from napari_resonance.viewer.commands import score_panel_of

    panel = score_panel_of(viewer)
    wait_until(lambda: not panel.search.is_busy)
    with tempfile.TemporaryDirectory() as folder:
        table = options.labels
        panel.studies.set_path(sample_path() if table is None else table.parent)
        panel.out.set_path(Path(folder, "scores"))
        panel.run_row.run_button.click()
        wait_until(lambda: not panel.runner.is_busy and not panel.reader.is_busy)
        table = panel.review.table
        table.view.selectRow(0)
        table.view.clicked.emit(table.filter.index(0, 0))
        wait_until(lambda: not panel.opener.is_busy)


def classify(viewer: Any, options: argparse.Namespace, name: str = "icbm-t1") -> Any:
    """Open a sample and classify it; return the panel."""
    panel = open_sample(viewer, name)
    panel.run_row.run_button.click()
    wait_until(lambda: not panel.runner.is_busy)
    return panel


def classify_oblique(viewer: Any, options: argparse.Namespace) -> None:
    """Open and classify the oblique sample."""
    classify(viewer, options, "oblique-pd")


def three_planes(viewer: Any, options: argparse.Namespace) -> None:
    """Show the other two planes of a classified sample."""
    from napari_resonance.viewer.commands import show_planes

    classify(viewer, options)
    show_planes(viewer)


def walk_through(viewer: Any, options: argparse.Namespace) -> None:
    """Film the way from the empty window to a judged result."""
    from napari_resonance.viewer.commands import next_finding, panel_of, show_planes

    panel = panel_of(viewer)
    wait_until(lambda: not panel.model_search.is_busy)
    frames: list[tuple[Any, int]] = []

    def shoot(milliseconds: int = FRAME_MS) -> None:
        frames.append((picture_of(viewer), milliseconds))

    shoot()
    open_sample(viewer, "oblique-pd")
    shoot()
    panel.run_row.run_button.click()
    wait_until(lambda: not panel.runner.is_busy)
    shoot(2 * FRAME_MS)
    for threshold in (60, 70, 80):
        panel.view.saliency_controls.threshold.setValue(threshold)
        shoot(FRAME_MS // 4)
    next_finding(viewer)
    shoot()
    panel.view.saliency_controls.threshold.setValue(50)
    show_planes(viewer)
    shoot(2 * FRAME_MS)
    save_film(frames, options.out / f"{FILM}.webp")


def open_sample(viewer: Any, name: str) -> Any:
    """Open a sample in the Classify panel, which is returned."""
    from napari_resonance.viewer.commands import panel_of

    panel = panel_of(viewer)
    wait_until(lambda: not panel.model_search.is_busy)
    panel.open_paths([sample_path(name)])
    wait_until(lambda: bool(viewer.layers) and not panel.runner.is_busy)
    rest(STEP_MS)
    return panel


FILM = "walk-through"
SCENES: dict[str, Callable[[Any, argparse.Namespace], object]] = {
    "classify-panel": classify,
    "classify-oblique": classify_oblique,
    "series-panel": list_series,
    "three-planes": three_planes,
    FILM: walk_through,
    "finetune-panel": fine_tune,
    "score-panel": score,
}


if __name__ == "__main__":
    main()
