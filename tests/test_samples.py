"""The sample scans are there, small, and as they were published."""

import hashlib

import pytest

from napari_resonance import sample_path
from napari_resonance.errors import ResonanceError


@pytest.mark.parametrize("name", ["icbm-t1", "oblique-pd", "ct"])
def test_every_sample_exists_inside_the_sample_folder(name):
    path = sample_path(name)
    assert path.exists()
    assert path.parent == sample_path()


def test_the_samples_are_small_and_their_sources_are_named():
    folder = sample_path()
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    assert size < 8e6
    sources = (folder / "SOURCES.md").read_text(encoding="utf-8")
    for entry in folder.iterdir():
        assert entry.name == "SOURCES.md" or entry.name in sources
    assert "provided that the above copyright notice appear in all copies" in " ".join(
        sources.replace(">", " ").split()
    )


def test_the_average_brain_is_kept_byte_for_byte():
    digest = hashlib.sha256(sample_path("icbm-t1").read_bytes()).hexdigest()
    assert digest in (sample_path() / "SOURCES.md").read_text(encoding="utf-8")


def test_an_unknown_name_is_refused_with_the_names_that_exist():
    with pytest.raises(ResonanceError, match=r"'t2'.*icbm-t1, oblique-pd, ct"):
        sample_path("t2")


def test_an_installation_without_samples_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "napari_resonance.samples.__file__", str(tmp_path / "a" / "s.py")
    )
    with pytest.raises(ResonanceError, match="missing from this installation"):
        sample_path()
