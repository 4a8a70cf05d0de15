"""``resonance demo``: no argument, no network, no display, no surprise."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import nibabel
import pytest

from napari_resonance.classifier import bundle
from napari_resonance.cli import window
from napari_resonance.errors import ResonanceError

FILES = ["icbm-t1_gradcam.nii.gz", "icbm-t1_gradcam.png"]


@pytest.fixture(autouse=True)
def _work_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_demo_prints_the_answer_and_writes_two_files(resonance, embedded, tmp_path):
    ran = resonance("demo")
    assert ran.code == 0
    for word in ("T1w", "T2w", "FLAIR", "%", "Looked at", "Picture", "Saliency"):
        assert word in ran.out
    assert "Research use only" in ran.out
    files = tmp_path / "resonance-demo"
    assert sorted(path.name for path in files.iterdir()) == FILES
    assert nibabel.load(files / FILES[0]).get_data_dtype() == "float32"
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    assert "Not opened in napari: " in ran.err
    assert len(ran.err.splitlines()) == 1


def test_demo_json_is_the_document_of_classify_and_opens_no_viewer(
    resonance, embedded, tmp_path, monkeypatch
):
    monkeypatch.setattr(window, "why_no_window", lambda: pytest.fail("asked"))
    ran = resonance("demo", "--out", "elsewhere", "--json")
    assert ran.code == 0
    assert ran.err == ""
    (result,) = ran.document["results"]
    assert result["picture"] == "elsewhere/icbm-t1_gradcam.png"
    assert result["saliency"] == "elsewhere/icbm-t1_gradcam.nii.gz"
    assert result["place"]
    assert ran.document["failed"] == []
    assert (tmp_path / "elsewhere" / "icbm-t1_gradcam.png").exists()


def fake_viewer(monkeypatch):
    opened = []
    module = types.ModuleType("napari_resonance.viewer.open")
    module.open_result = lambda scan, prediction: opened.append((scan, prediction))
    module.open_paths = opened.extend
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return opened


def test_demo_opens_the_viewer_on_the_result_where_it_can(
    resonance, embedded, monkeypatch
):
    opened = fake_viewer(monkeypatch)
    monkeypatch.setattr(window, "why_no_window", lambda: None)
    ran = resonance("demo")
    assert ran.code == 0
    ((scan, prediction),) = opened
    assert scan.grid_shape == (197, 233, 189)
    assert prediction.saliency is not None
    opened.clear()
    assert resonance("demo", "--no-view").code == 0
    assert opened == []


def test_demo_survives_a_broken_qt_with_one_sentence(resonance, embedded, monkeypatch):
    broken = ResonanceError("Qt is broken: libEGL.so.1 is missing", remedy="Get it")
    monkeypatch.setattr(window, "why_no_window", lambda: broken)
    ran = resonance("demo")
    assert ran.code == 0
    assert ran.err == (
        "Not opened in napari: Qt is broken: libEGL.so.1 is missing. Get it.\n"
    )


def test_without_napari_the_line_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(window, "find_spec", lambda name: None)
    error = window.why_no_window()
    assert 'python -m pip install "napari-resonance[gui]"' in str(error)


def test_without_a_display_that_is_said(monkeypatch):
    monkeypatch.setattr(window, "find_spec", lambda name: object())
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "display" in str(window.why_no_window())


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise ImportError('libEGL.so.1: cannot open shared object file')", "libEGL"),
        ("import os; os.abort()", "exit code -6"),
        ("import time; time.sleep(60)", "did not start within 1 seconds"),
    ],
)
def test_a_qt_that_fails_fails_in_a_child(monkeypatch, code, why):
    monkeypatch.setattr(window, "find_spec", lambda name: object())
    monkeypatch.setattr(window, "has_display", lambda: True)
    monkeypatch.setattr(window, "_TRY", code)
    monkeypatch.setattr(window, "_SECONDS", 1 if "sleep" in code else 60)
    assert why in str(window.why_no_window())


def test_a_qt_that_starts_is_no_obstacle(monkeypatch):
    monkeypatch.setattr(window, "find_spec", lambda name: object())
    monkeypatch.setattr(window, "has_display", lambda: True)
    monkeypatch.setattr(window, "_TRY", "pass")
    assert window.why_no_window() is None


def test_the_shipped_demo_knows_its_scan_in_an_empty_home(tmp_path):
    if not (bundle._EMBEDDED / "mr-sequence").is_dir():
        pytest.skip("this checkout has no trained mr-sequence")
    script = Path(sys.executable).with_name("resonance")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "RESONANCE_CACHE")
    }
    (tmp_path / "home").mkdir()
    child = subprocess.run(
        [script, "demo"],
        env=environment | {"HOME": str(tmp_path / "home"), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.split()[0] == "T1w"
    assert " sure" in child.stdout.split("\n")[1]
    assert "Not opened in napari: " in child.stderr
    assert sorted(p.name for p in (tmp_path / "resonance-demo").iterdir()) == FILES
