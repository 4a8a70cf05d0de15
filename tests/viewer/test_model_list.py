"""The models that a folder can be scored with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.bundles import tiny_bundle
from support.panels import TIMEOUT, open_panel, wait_for_threads

from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.viewer.commands import score_panel_of
from napari_resonance.viewer.model_list import ModelList


def names(models: ModelList) -> list[Path]:
    return [model.path for model in models.models]


def test_the_score_panel_lists_what_the_classify_panel_lists(
    make_viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    folders = [tiny_bundle(tmp_path / n, labels=(n, "no")) for n in "abc"]
    viewer = make_viewer(show=True)
    classify = open_panel(viewer, qtbot)

    def import_(folder: Path) -> None:
        classify.model_picker.folder_chosen.emit(folder)
        qtbot.waitUntil(lambda: not classify.runner.is_busy, timeout=TIMEOUT)

    import_(folders[0])
    own = load_bundle("mr-sequence").path
    score = score_panel_of(viewer)
    qtbot.waitUntil(lambda: len(score.models.models) == 2, timeout=TIMEOUT)
    assert names(score.models) == [own, folders[0]]
    # The one that was chosen last for classifying is ticked, the other offered.
    assert [model.path for model in score.models.chosen] == [folders[0]]
    # A model that comes in later is there at once.
    import_(folders[1])
    qtbot.waitUntil(lambda: len(score.models.models) == 3, timeout=TIMEOUT)
    assert [model.path for model in score.models.chosen] == [folders[0]]
    # One that is opened here is ticked, and the next window lists it as well.
    score.models.open_model(folders[2])
    qtbot.waitUntil(lambda: len(score.models.models) == 4, timeout=TIMEOUT)
    assert [m.path for m in score.models.chosen] == [folders[0], folders[2]]
    # The other panel offers it, and keeps its own choice.
    assert folders[2] in {model.path for model in classify.model_picker.models}
    assert classify.model_picker.model.path == folders[1]
    wait_for_threads(qtbot)
    viewer.close()
    again = open_panel(make_viewer(), qtbot)
    assert {model.path for model in again.model_picker.models} >= {own, *folders}
    wait_for_threads(qtbot)


def test_none_is_ticked_again_that_was_not_wanted(qtbot: Any, tmp_path: Path) -> None:
    from qtpy.QtCore import Qt

    models = ModelList()
    qtbot.addWidget(models)
    found = [load_bundle(tiny_bundle(tmp_path / n)) for n in "ab"]
    models.offer(found, str(found[1].path))
    assert models.chosen == [found[1]]
    models.list.item(1).setCheckState(Qt.CheckState.Unchecked)
    models.offer(found, str(found[1].path))
    assert models.models == found
    assert models.chosen == []
