"""``resonance view``: opens the viewer, or says why it cannot."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from napari_resonance.cli import window


@pytest.fixture
def opened(monkeypatch):
    """Collect the paths that a viewer would open."""
    paths: list[Path] = []
    module = types.ModuleType("napari_resonance.viewer.open")
    module.open_paths = paths.extend
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(window, "why_no_window", lambda: None)
    return paths


def test_view_opens_the_paths(resonance, opened, tmp_path):
    ran = resonance("view", tmp_path)
    assert (ran.code, ran.out) == (0, "")
    assert opened == [tmp_path]
    assert resonance("view", tmp_path, "--json").document == {"viewed": [str(tmp_path)]}


def test_a_missing_path_is_said_before_anything_opens(resonance, opened, tmp_path):
    ran = resonance("view", tmp_path / "none")
    assert ran.code == 1
    assert str(tmp_path / "none") in ran.err
    assert not opened


def test_without_napari_the_remedy_is_the_line_that_installs_it(
    resonance, monkeypatch, tmp_path
):
    monkeypatch.setattr(window, "find_spec", lambda name: None)
    ran = resonance("view", tmp_path)
    assert ran.code == 1
    assert 'python -m pip install "napari-resonance[gui]"' in ran.err
    error = resonance("view", tmp_path, "--json").document["error"]
    assert error["type"] == "DependencyError"


def test_without_a_display_that_is_the_error(resonance, monkeypatch, tmp_path):
    monkeypatch.setattr(window, "find_spec", lambda name: object())
    monkeypatch.setattr(sys, "platform", "linux")
    ran = resonance("view", tmp_path)
    assert ran.code == 1
    assert "display" in ran.err
