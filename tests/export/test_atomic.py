"""Files appear whole or not at all."""

from __future__ import annotations

import errno

import pytest

from napari_resonance.errors import ExportError
from napari_resonance.export.atomic import replacing


def test_a_file_appears_under_its_name_and_nothing_else(tmp_path):
    with replacing(tmp_path / "new" / "a.txt") as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.txt"]


def write_half(path, error):
    with replacing(path) as temporary:
        temporary.write_text("ha")
        raise error


def test_a_failure_keeps_the_old_file_and_leaves_no_trace(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="stop"):
        write_half(path, ValueError("stop"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_export_error_with_the_file(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(ExportError, match="no space left on device") as caught:
        write_half(path, OSError(errno.ENOSPC, "No space left on device"))
    assert caught.value.source == str(path)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_an_export_error(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(ExportError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_where_a_folder_is_needed_is_an_export_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match="file"):
        write_half(tmp_path / "file" / "a.txt", ValueError("not reached"))


def test_an_existing_name_of_the_greatest_length_can_be_written(tmp_path):
    path = tmp_path / ("n" * 247 + ".nii.gz")
    with replacing(path) as temporary:
        temporary.write_text("x")
    assert path.exists()
