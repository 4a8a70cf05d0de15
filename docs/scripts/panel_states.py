"""Take a picture of every panel in every state that it can be in.

To look at with a critical eye after a change: sizes, themes, and the states empty,
busy, done, unsure and failed. On Linux without a screen::

    xvfb-run -a -s "-screen 0 1920x1080x24" \
        python docs/scripts/panel_states.py --labels heads/labels.csv --out /tmp/states

``--labels`` names a table of labelled scans, which the Fine-tune panel trains on and
whose folder the Score panel scores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from window import dress, new_window, picture_of, save, wait_until

from napari_resonance.samples import sample_path

SIZES, THEMES = ("1280x800", "1920x1080"), ("dark", "light")


def main() -> None:
    """Take the pictures of the panels that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("panels", nargs="*", default=list(PANELS), help="which")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--labels", type=Path, help="table of labelled scans")
    parser.add_argument("--sizes", nargs="*", default=SIZES)
    parser.add_argument("--themes", nargs="*", default=THEMES)
    options = parser.parse_args()
    for name in options.panels:
        viewer = new_window()
        for state in PANELS[name](viewer, options):
            for size in options.sizes:
                for theme in options.themes:
                    dress(viewer, size, theme)
                    path = options.out / f"{name}-{state}-{size}-{theme}.png"
                    save(picture_of(viewer), path)
        viewer.close()


def classify_states(viewer: Any, options: Any) -> Iterator[str]:
    """Take the Classify panel through its states."""
    from napari_resonance.viewer.commands import panel_of, show_planes

    panel = panel_of(viewer)
    wait_until(lambda: not panel.model_search.is_busy)
    yield "empty"
    for name in ("icbm-t1", "oblique-pd", "ct"):
        panel.open_paths([sample_path(name)])
        wait_until(lambda: not panel.runner.is_busy)
        run = panel.run_row.run_button
        if name == "icbm-t1":
            yield "ready"
            with held(panel.runner):
                yield "busy"
        if not run.isEnabled():
            yield "unsuitable"
            panel.scan_picker.anyway.click()
        run.click()
        wait_until(lambda: not panel.runner.is_busy)
        yield f"answer-{name}"
        if name == "icbm-t1":
            panel.measure()
            wait_until(lambda: not panel.runner.is_busy)
            panel.view.trust.fold.expand(animate=False)
            panel.column.bring(panel.view.trust)
            box = panel.view.saliency_controls.style_box
            box.setCurrentIndex(1)
            box.activated.emit(1)
            yield "measured"
            panel.view.trust.fold.collapse(animate=False)
            box.setCurrentIndex(0)
            box.activated.emit(0)
            show_planes(viewer)
            yield "planes"
            show_planes(viewer)
    panel.open_paths([Path(__file__)])
    wait_until(lambda: not panel.runner.is_busy)
    yield "error"


def series_states(viewer: Any, options: Any) -> Iterator[str]:
    """Take the Series panel through its states."""
    from napari_resonance.viewer.commands import panel_of, series_panel_of

    classify_panel = panel_of(viewer)
    wait_until(lambda: not classify_panel.model_search.is_busy)
    panel = series_panel_of(viewer)
    yield "empty"
    with held(panel.runner):
        yield "busy"
    panel.open_paths([sample_path()])
    wait_until(lambda: not panel.runner.is_busy and not panel.thumbnails.is_busy)
    yield "listed"
    panel.open_chosen()
    wait_until(lambda: bool(viewer.layers) and not panel.runner.is_busy)
    yield "opened"
    panel = series_panel_of(viewer)
    panel.open_paths([Path(__file__).parent])
    wait_until(lambda: not panel.runner.is_busy)
    yield "error"


def finetune_states(viewer: Any, options: Any) -> Iterator[str]:
    """Take the Fine-tune panel through its states."""
    from napari_resonance.viewer.commands import finetune_panel_of

    panel = finetune_panel_of(viewer)
    wait_until(lambda: not panel.search.is_busy)
    yield "empty"
    panel.tabs.setCurrentIndex(1)
    yield "empty-training"
    panel.tabs.setCurrentIndex(0)
    if options.labels is None:
        return
    panel.read_labels(options.labels)
    wait_until(lambda: not panel.runner.is_busy)
    panel.labels.open_wanted.emit(panel.labels.model.rows[0])
    wait_until(lambda: bool(viewer.layers) and not panel.opener.is_busy)
    yield "labelled"
    panel.check()
    wait_until(lambda: not panel.runner.is_busy)
    yield "checked"
    panel.form.preset.setCurrentIndex(panel.form.preset.findData("quick"))
    with tempfile.TemporaryDirectory() as folder:
        panel.form.place.setText(str(Path(folder, "my-model")))
        panel.train_row.run_row.run_button.click()
        wait_until(lambda: bool(panel.curves.epochs) or not panel.runner.is_busy)
        yield "busy"
        wait_until(lambda: not panel.runner.is_busy)
        yield "done"
    panel.message.show_error("There is no room on the disk.", "Traceback\n  line 1")
    yield "error"


def score_states(viewer: Any, options: Any) -> Iterator[str]:
    """Take the Score panel through its states."""
    from napari_resonance.viewer.commands import score_panel_of

    panel = score_panel_of(viewer)
    wait_until(lambda: not panel.search.is_busy)
    yield "empty"
    if options.labels is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        panel.studies.set_path(options.labels.parent)
        panel.out.set_path(Path(folder, "scores"))
        panel.dry_button.click()
        wait_until(lambda: not panel.runner.is_busy)
        yield "dry"
        with held(panel.runner, "scored 120 of 500 scans", 120, 500):
            yield "busy"
        panel.run_row.run_button.click()
        wait_until(lambda: not panel.runner.is_busy and not panel.reader.is_busy)
        yield "done"
        table = panel.review.table
        table.view.selectRow(0)
        table.view.clicked.emit(table.filter.index(0, 0))
        wait_until(lambda: not panel.opener.is_busy)
        yield "row"
        panel.message.show_error("The journal cannot be used (disk full).")
        yield "error"


class held:  # noqa: N801 - used like a function
    """Keep a panel's runner busy for as long as a picture takes."""

    def __init__(
        self, runner: Any, text: str = "running the network", done: int = 1, of: int = 3
    ) -> None:
        self._runner, self._said = runner, (done, of, text)

    def __enter__(self) -> None:
        """Start to wait."""

        def wait(
            progress: Callable[..., None], should_stop: Callable[[], bool]
        ) -> None:
            progress(*self._said)
            while not should_stop():
                time.sleep(0.01)

        self._runner.run(wait, lambda _: None)

    def __exit__(self, *_: object) -> None:
        """Let the panel go."""
        self._runner.cancel()


PANELS = {
    "series": series_states,
    "classify": classify_states,
    "finetune": finetune_states,
    "score": score_states,
}


if __name__ == "__main__":
    main()
