"""Folders are searched by content; what is left out is said."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian
from support import phantoms
from support.dicom_files import pixels_of, plane, save, write_stack

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.reading.discover import natural

DICOMDIR_TESTS = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"


def skipped_by(path):
    skips = {}

    def note(source, why):
        skips[Path(source).name] = why

    return read_scans(path, on_skip=note), skips


def test_a_study_full_of_other_things_is_read_and_the_rest_is_named(tmp_path):
    write_stack(tmp_path / "study" / "series", (0, 2, 4))
    made, _ = phantoms.phantom()
    phantoms.write_nifti(made, tmp_path / "study" / "brain.nii.gz")
    junk = {
        ".DS_Store": b"\0\0\0\1Bud1",
        "._IM1": b"\0\5\x16\7",
        "report.pdf": b"%PDF-1.7",
        "thumb.jpg": b"\xff\xd8\xff\xe0",
        "notes.txt": b"a text",
        "text.dcm": b"no dicom at all",
        "empty": b"",
        "study.zip": b"PK\x03\x04",
        "x.dcm.gz": b"\x1f\x8b\x08",
    }
    for name, content in junk.items():
        (tmp_path / "study" / name).write_bytes(content)
    scans, skips = skipped_by(tmp_path)
    assert [scan.modality for scan in scans] == ["", "MR"]
    assert skips == {
        ".DS_Store": "hidden",
        "._IM1": "hidden",
        "report.pdf": "a PDF document",
        "thumb.jpg": "a JPEG picture",
        "notes.txt": "a text file",
        "text.dcm": "a text file",
        "empty": "an empty file",
        "study.zip": "is a damaged archive: file is not a zip file",
        "x.dcm.gz": "damaged: it ends too early",
    }


def test_a_folder_without_scans_gives_none(tmp_path):
    assert read_scans(tmp_path) == []
    with pytest.raises(ReadError, match="holds no scan that can be read"):
        read_scan(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ReadError, match=r"1 file was left out \(a text file\)"):
        read_scan(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.dcm", b"text", "is neither DICOM nor NIfTI but a text file"),
        ("empty.dcm", b"", "is neither DICOM nor NIfTI but an empty file"),
        ("text.nii", b"text", "is not a NIfTI or Analyze image"),
        ("empty.nii.gz", b"", "is not a NIfTI or Analyze image"),
    ],
)
def test_a_named_file_that_is_no_scan_is_an_error(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError, match=message) as caught:
        read_scans(tmp_path / name)
    assert caught.value.source == str(tmp_path / name)
    assert caught.value.remedy
    assert read_scans(tmp_path) == []


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ReadError, match="there is no such file or folder"):
        read_scans(tmp_path / "nothing")


def test_read_scan_lists_the_scans_of_a_folder_that_holds_more(tmp_path):
    for n in (1, 2):
        tags = {"SeriesInstanceUID": f"1.{n}", "SeriesDescription": f"scan {n}"}
        write_stack(tmp_path / str(n), (0, 2), SeriesNumber=n, **tags)
    expected = r"holds 2 scans, not one: Scan\(MR.*'scan 1', Scan\(MR.*'scan 2'"
    with pytest.raises(ReadError, match=expected):
        read_scan(tmp_path)


@pytest.mark.parametrize("implicit", [True, False])
def test_dicom_without_preamble_is_found(tmp_path, implicit):
    made = plane(2, (0, 0, 0))
    made.save_as(tmp_path / "IM1", implicit_vr=implicit, little_endian=True)
    assert b"DICM" not in (tmp_path / "IM1").read_bytes()[:200]
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels_of(2).T)


def test_implicit_files_and_explicit_ones_make_one_series(tmp_path):
    save(plane(0, (0, 0, 0)), tmp_path / "a")
    save(plane(1, (0, 0, 2)), tmp_path / "b", ImplicitVRLittleEndian)
    assert read_scan(tmp_path).grid_shape[2] == 2


def test_a_loop_of_links_ends(tmp_path):
    write_stack(tmp_path / "a" / "b", (0, 2))
    (tmp_path / "a" / "b" / "loop").symlink_to(tmp_path / "a", target_is_directory=True)
    (scan,), skips = skipped_by(tmp_path)
    assert scan.grid_shape[2] == 2
    assert skips == {"loop": "a folder that was searched already"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_broken_link_and_a_pipe_are_left_out(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    scans, skips = skipped_by(tmp_path)
    assert scans == []
    assert skips == {"gone": "no regular file", "pipe": "no regular file"}


def test_an_unreadable_file_is_left_out_of_a_folder(tmp_path, monkeypatch):
    path = save(plane(0, (0, 0, 0)), tmp_path / "locked")
    opened = os.open

    def refuse(file, *args, **kwargs):
        if file == str(path):
            raise PermissionError(13, "Permission denied")
        return opened(file, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    scans, skips = skipped_by(tmp_path)
    assert scans == []
    assert skips == {"locked": "unreadable: Permission denied"}
    with pytest.raises(ReadError, match="unreadable: Permission denied"):
        read_scans(path)


def test_a_path_given_twice_is_read_once(tmp_path):
    write_stack(tmp_path, (0, 2))
    assert len(read_scans([tmp_path, tmp_path, *tmp_path.iterdir()])) == 1


def test_a_deep_tree_is_searched_to_its_end(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 300)
    save(plane(0, (0, 0, 0)), deep / "x")
    assert len(read_scans(tmp_path)) == 1


def test_stopping_while_a_folder_is_searched(tmp_path):
    write_stack(tmp_path, (0, 2))
    with pytest.raises(CancelledError):
        read_scans(tmp_path, should_stop=lambda: True)


def test_names_are_sorted_as_people_count():
    assert sorted(["IM10", "im2", "IM1"], key=natural) == ["IM1", "im2", "IM10"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-reordered"],
)
def test_a_dicomdir_stands_for_the_files_it_lists(name):
    scans = read_scans(DICOMDIR_TESTS / name)
    listed = {path for scan in scans for path in scan.sources}
    assert len(listed) == 31
    in_folders = [
        scan
        for patient in ("77654033", "98892001", "98892003")
        for scan in read_scans(DICOMDIR_TESTS / patient)
    ]
    assert len(scans) == len(in_folders)


def test_a_dicomdir_in_a_folder_is_an_index_and_no_scan(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes((DICOMDIR_TESTS / "DICOMDIR").read_bytes())
    write_stack(tmp_path / "series", (0, 2))
    (scan,), skips = skipped_by(tmp_path)
    assert scan.grid_shape[2] == 2
    assert skips == {"DICOMDIR": "a DICOMDIR, the index of other files"}


def test_a_dicomdir_alone_says_that_its_files_are_missing(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes((DICOMDIR_TESTS / "DICOMDIR").read_bytes())
    with pytest.raises(ReadError, match="lists 31 files, none of which is there"):
        read_scans(tmp_path / "DICOMDIR")


def test_a_dicomdir_with_some_files_missing_reads_the_others(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes((DICOMDIR_TESTS / "DICOMDIR").read_bytes())
    series = tmp_path / "98892001" / "CT5N"
    series.mkdir(parents=True)
    for path in (DICOMDIR_TESTS / "98892001" / "CT5N").iterdir():
        (series / path.name).write_bytes(path.read_bytes())
    scans, skips = skipped_by(tmp_path / "DICOMDIR")
    assert [scan.shape for scan in scans] == [(16, 16, 5)]
    assert set(skips.values()) == {"listed in the DICOMDIR, but missing"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("reportsi.dcm", "a structured report"),
        ("rtplan.dcm", "a radiotherapy plan"),
        ("rtdose.dcm", "a radiotherapy dose"),
        ("liver_1frame.dcm", "a segmentation"),
        ("waveform_ecg.dcm", "a waveform"),
        ("UN_sequence.dcm", "an image object whose pixels were left out"),
    ],
)
def test_other_objects_are_left_out_by_their_kind(name, kind):
    with pytest.raises(ReadError, match=f"is {kind}, not a scan"):
        read_scans(DICOMDIR_TESTS.parent / name)
