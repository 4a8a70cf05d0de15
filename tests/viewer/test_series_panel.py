"""The Series panel: what a folder holds, what is opened of it, what is hidden."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QElapsedTimer, QTimer
from support.panels import TIMEOUT, wait_for_threads, wait_idle
from support.phantoms import (
    N_TIMES,
    color_phantom,
    phantom,
    time_phantom,
    write_dicom_series,
    write_nifti,
)

from napari_resonance.errors import ReadError
from napari_resonance.viewer.commands import series_panel_of
from napari_resonance.viewer.series_panel import SeriesPanel
from napari_resonance.viewer.survey import Survey, load_series, look_through
from napari_resonance.viewer.thumbnails import SIDE, make_thumbnails, picture_of

NAMES = ("oblique", "sagittal", "straight")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("Doe_John")
    for n, name in enumerate(NAMES, start=1):
        tags = {"SeriesNumber": n, "StudyInstanceUID": "1.2.3"}
        write_dicom_series(phantom(name)[0], folder / name, **tags)
    (folder / "film").mkdir()
    write_nifti(time_phantom()[0], folder / "film" / "film.nii.gz")
    (folder / "letter.txt").write_text("not a scan")
    return folder


@pytest.fixture
def series(viewer: Any, qtbot: Any) -> Iterator[SeriesPanel]:
    panel = series_panel_of(viewer)
    yield panel
    wait_for_threads(qtbot)


def listed(panel: SeriesPanel, study: Path, qtbot: Any) -> list[Any]:
    panel.open_paths([study])
    wait_idle(panel, qtbot)
    qtbot.waitUntil(lambda: not panel.thumbnails.is_busy, timeout=TIMEOUT)
    return [panel.tree.topLevelItem(n) for n in range(panel.tree.topLevelItemCount())]


def texts(item: Any) -> list[str]:
    return [item.child(n).text(0) for n in range(item.childCount())]


def test_a_study_is_listed_with_pictures(
    series: SeriesPanel, study: Path, viewer: Any, qtbot: Any
) -> None:
    film, dicom, skipped = listed(series, study, qtbot)
    assert film.text(0) == "Folder 1 · 1 scan"
    assert dicom.text(0) == "Study 2 · MR · 3 scans"
    assert texts(dicom)[0].startswith("MR · oblique axial\nMR · 23×31×17\n0.9 × ")
    assert f"{N_TIMES} volumes" in texts(film)[0]
    assert skipped.text(0) == "Left out: 1 file"
    assert skipped.child(0).child(0).text(0) == "letter.txt"
    image = dicom.child(1).icon(0).pixmap(SIDE, SIDE).toImage()
    values = {image.pixelColor(x, SIDE // 2).lightness() for x in range(SIDE)}
    assert len(values) > 5
    assert not viewer.layers


def test_chosen_scans_are_opened(
    series: SeriesPanel, study: Path, viewer: Any, qtbot: Any
) -> None:
    _, dicom, _ = listed(series, study, qtbot)
    assert series.run_row.run_button.text() == "Open"
    series.tree.clearSelection()
    assert not series.run_row.run_button.isEnabled()
    dicom.child(1).setSelected(True)
    dicom.child(2).setSelected(True)
    assert series.run_row.run_button.text() == "Open 2 scans"
    series.run_row.run_button.click()
    wait_idle(series, qtbot)
    assert [x.name for x in viewer.layers] == ["MR · sagittal", "MR · axial"]
    assert [x.visible for x in viewer.layers] == [True, False]
    expected = phantom("straight")[0].stored()
    assert np.array_equal(np.sort(viewer.layers[1].data, None), np.sort(expected, None))


def test_a_study_item_stands_for_its_scans(
    series: SeriesPanel, study: Path, qtbot: Any
) -> None:
    _, dicom, _ = listed(series, study, qtbot)
    series.tree.clearSelection()
    dicom.setSelected(True)
    assert len(series.tree.chosen()) == 3


def test_names_are_shown_only_when_asked_for(
    series: SeriesPanel, study: Path, qtbot: Any
) -> None:
    items = listed(series, study, qtbot)
    everything = [item.text(0) for item in items]
    everything += [text for item in items for text in texts(item)]
    everything += [item.child(0).toolTip(0) for item in items]
    assert not any("Phantom" in text or "Doe" in text for text in everything)
    series.names_box.setChecked(True)
    qtbot.waitUntil(lambda: "Phantom^Oblique" in items[1].text(0), timeout=TIMEOUT)
    assert items[0].text(0).endswith("film")
    series.names_box.setChecked(False)
    assert "Phantom" not in items[1].text(0)


def test_a_single_scan_opens_at_once(
    series: SeriesPanel, study: Path, viewer: Any, qtbot: Any
) -> None:
    series.drop_area.dropped.emit([study / "sagittal"])
    wait_idle(series, qtbot)
    assert [layer.name for layer in viewer.layers] == ["MR · sagittal"]
    assert not series.tree.isVisibleTo(series)


def test_the_classify_panel_hands_a_study_over(
    panel: Any, study: Path, viewer: Any, qtbot: Any
) -> None:
    panel.drop_area.dropped.emit([study])
    wait_idle(panel, qtbot)
    series = series_panel_of(viewer)
    assert series.tree.topLevelItemCount() == 3
    assert not viewer.layers
    series.run_row.run_button.click()
    wait_idle(series, qtbot)
    assert len(viewer.layers) == 1
    assert panel.scan_picker.layer is viewer.layers[0]


def test_cancel_drops_what_was_read(
    series: SeriesPanel, study: Path, viewer: Any, qtbot: Any
) -> None:
    listed(series, study, qtbot)
    series.run_row.run_button.click()
    assert series.run_row.cancel_button.isEnabled()
    series.run_row.cancel_button.click()
    assert series.run_row.run_button.isEnabled()
    wait_for_threads(qtbot)
    qtbot.wait(50)
    assert not viewer.layers


def test_closing_the_dock_leaves_no_thread(
    viewer: Any, study: Path, qtbot: Any
) -> None:
    panel = series_panel_of(viewer)
    panel.show_survey(look_through([study]))
    panel.names_box.setChecked(True)
    with qtbot.waitSignal(panel.destroyed, timeout=TIMEOUT):
        viewer.window.remove_dock_widget(panel)
    wait_for_threads(qtbot)


def test_looking_through_many_scans_leaves_the_window_free(
    series: SeriesPanel, tmp_path: Path, qtbot: Any
) -> None:
    for n in range(30):
        write_nifti(phantom()[0], tmp_path / f"{n:02}.nii")
    # Imports count once, and not here.
    make_thumbnails(look_through([tmp_path]).series[:1], lambda: False)
    gaps, clock, beat = [], QElapsedTimer(), QTimer()
    clock.start()
    beat.timeout.connect(lambda: gaps.append(clock.restart()))
    beat.start(5)
    listed(series, tmp_path, qtbot)
    beat.stop()
    assert series.tree.topLevelItem(0).childCount() == 30
    assert max(gaps) < 100


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_scans_in_an_archive_are_listed_and_opened(
    study: Path, tmp_path: Path, kind: str
) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "all"), kind, study))
    survey = look_through([path])
    assert isinstance(survey, Survey)
    assert len(survey.series) == 4
    assert {one.archive for one in survey.series} == {path}
    pictures = make_thumbnails(survey.series, lambda: False)
    assert all(picture.pixels is not None for picture in pictures)
    opened = load_series(survey.series[2:])
    assert [x[1]["name"] for x in opened.layers] == ["MR · sagittal", "MR · axial"]


def test_a_folder_that_changed_is_a_sentence(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    survey = look_through([copy])
    shutil.rmtree(copy)
    (picture,) = make_thumbnails(survey.series[:1], lambda: False)
    assert picture.pixels is None
    assert picture.problem.startswith("No picture: ")
    with pytest.raises(ReadError):
        load_series(survey.series[:1])


def test_pictures_stand_upright_in_true_proportions() -> None:
    scan, _ = phantom("straight")
    pixels = picture_of(scan)
    width = scan.shape[0] * scan.spacing[0]
    height = scan.shape[1] * scan.spacing[1]
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(width / height, abs=0.05)
    assert picture_of(color_phantom()[0]).shape[2] == 3
    assert picture_of(time_phantom()[0]).max() > 100


def test_colours_of_more_bits_have_the_picture_of_eight() -> None:
    scan, _ = color_phantom()
    wide = np.asarray(scan.voxels).astype(np.uint16) * 257
    deep = replace(scan, voxels=wide)
    one, other = picture_of(scan).astype(int), picture_of(deep).astype(int)
    assert 20 < one.mean() < 200
    assert np.abs(one - other).max() <= 1
