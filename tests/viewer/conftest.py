"""A real napari window that knows this package by its manifest, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bundles import spot_bundle
from support.panels import SlowWork, open_panel, wait_for_threads

import napari_resonance
from napari_resonance.classifier.bundle import load_bundle
from napari_resonance.viewer import classify_panel
from napari_resonance.viewer.settings import FILE_VARIABLE

MANIFEST = Path(napari_resonance.__file__).with_name("napari.yaml")


@pytest.fixture(autouse=True)
def own_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Let each test begin with nothing chosen, and the user's settings alone."""
    file = tmp_path_factory.mktemp("settings") / "settings.ini"
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    return file


@pytest.fixture
def make_viewer(make_napari_viewer: Any, npe2pm: Any) -> Iterator[Callable[..., Any]]:
    """Return a maker of viewers; a leaked widget fails the test."""

    def make(**settings: Any) -> Any:
        return make_napari_viewer(strict_qt="raise", **settings)

    with npe2pm.tmp_plugin(manifest=str(MANIFEST)):
        yield make


@pytest.fixture
def viewer(make_viewer: Callable[..., Any]) -> Any:
    """Return a viewer without a visible window."""
    return make_viewer()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spot_bundle(tmp_path_factory.mktemp("models") / "spot")


@pytest.fixture
def panel(viewer: Any, qtbot: Any) -> Iterator[Any]:
    """Return the panel, idle, in the window of `viewer`."""
    panel = open_panel(viewer, qtbot)
    yield panel
    wait_for_threads(qtbot)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, panel: Any, bundle: Path) -> SlowWork:
    """Replace the classification by one that the test lets go."""
    work = SlowWork()
    monkeypatch.setattr(classify_panel, "classify", work)
    panel.model_picker.add_model(load_bundle(bundle))
    return work
