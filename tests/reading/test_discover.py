"""Folders are searched by content; what is left out is said."""

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, MediaStorageDirectoryStorage
from support import phantoms
from support.dicom_files import pixels_of, plane, save, write_stack

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import CancelledError, ReadError
from napari_resonance.reading.discover import discover, natural

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


def test_an_unreadable_folder_is_left_out(tmp_path, monkeypatch):
    write_stack(tmp_path / "open", (0, 2))
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def refuse(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    scans, skips = skipped_by(tmp_path)
    assert len(scans) == 1
    assert skips == {"locked": "unreadable: Permission denied"}


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "file.dcm/inside"])
def test_a_path_that_cannot_be_is_an_error(tmp_path, name):
    save(plane(0, (0, 0, 0)), tmp_path / "file.dcm")
    with pytest.raises(ReadError, match=r"no such file|unreadable"):
        read_scans(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("ending", ["", ".nii", ".nii.gz", ".dcm", ".zip"])
def test_what_is_no_file_is_never_opened(tmp_path, ending):
    os.mkfifo(tmp_path / f"pipe{ending}")
    # A path to a socket may have a hundred letters.
    unix = socket.socket(socket.AF_UNIX)
    folder = tempfile.mkdtemp(dir="/tmp")
    unix.bind(f"{folder}/s{ending}")
    (tmp_path / f"link{ending}").symlink_to(f"{folder}/s{ending}")
    (tmp_path / f"null{ending}").symlink_to("/dev/zero")
    (tmp_path / f"self{ending}").symlink_to(tmp_path / f"self{ending}")
    scans, skips = skipped_by(tmp_path)
    assert scans == []
    assert set(skips.values()) == {"no regular file"}
    assert len(skips) == 4
    with pytest.raises(ReadError, match="no regular file"):
        read_scans(tmp_path / f"pipe{ending}")
    unix.close()
    shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_name_that_is_no_text_is_read(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe4\xff\n'\x1b[31m"))
    write_stack(folder, (0, 2))
    (folder / "notes").write_text("text")
    (scan,), skips = skipped_by(tmp_path)
    assert scan.sources[0].parent == folder
    assert skips == {"notes": "a text file"}


def test_half_a_pair_is_left_out(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.zeros((4, 5, 6)), np.eye(4)), tmp_path / "a.hdr")
    (tmp_path / "a.hdr").rename(tmp_path / "b.hdr")
    _, skips = skipped_by(tmp_path)
    assert skips == {
        "a.img": "is not a NIfTI or Analyze image by itself: a.hdr is missing",
        "b.hdr": "is only the header of an image: b.img is missing",
    }


def test_files_of_other_kinds_are_named(tmp_path):
    contents = {
        "x.png": b"\x89PNG\r\n\x1a\n",
        "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "x.xml": b"<?xml version='1.0'?>",
        "x.bval": b"0 1000 1000\n",
        "x.json": b'{"EchoTime": 0.1}',
        "autorun.exe": b"MZ\x90\0",
        "x.nrrd": b"NRRD0005\n",
        "noise": bytes(range(256)),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    _, skips = skipped_by(tmp_path)
    assert skips == {
        "x.png": "a PNG picture",
        "Thumbs.db": "an Office document or a store of thumbnails",
        "x.xml": "an XML document",
        "x.bval": "a text file",
        "x.json": "a text file",
        "autorun.exe": "a program",
        "x.nrrd": "an NRRD image; convert it to NIfTI",
        "noise": "a file of another kind",
    }


def test_two_studies_in_one_folder_are_kept_apart(tmp_path):
    for n in (1, 2):
        write_stack(tmp_path / str(n), (0, 2), StudyInstanceUID=f"1.{n}")
        for path in sorted((tmp_path / str(n)).iterdir()):
            path.rename(tmp_path / f"{path.name}_{n}.IMA")
    scans = read_scans(tmp_path)
    assert [scan.study for scan in scans] == ["1.1", "1.2"]


def counted(monkeypatch, name):
    """Return a list that gets an entry for each call of a function of `os`."""
    calls, real = [], getattr(os, name)

    def call(*args, **named):
        calls.append(args)
        return real(*args, **named)

    monkeypatch.setattr(os, name, call)
    return calls


def test_each_file_is_opened_once_and_asked_for_little(tmp_path, monkeypatch):
    content = bytes(128) + b"DICM" + bytes(400)
    for n in range(500):
        (tmp_path / f"IM{n}").write_bytes(content)
    opened, listed = counted(monkeypatch, "open"), counted(monkeypatch, "scandir")
    asked = counted(monkeypatch, "stat")
    found = discover([tmp_path], lambda source, why: None, lambda: False)
    assert len(opened) == 500
    assert len(listed) == 1
    assert len(asked) <= 500 + 10  # a file on a share may take a millisecond each time
    assert [path.name for path in found.dicom] == [f"IM{n}" for n in range(500)]


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
    reason = "a DICOMDIR, the index of other files; 31 of the 31 are missing"
    assert skips == {"DICOMDIR": reason}
    _, skips = skipped_by(DICOMDIR_TESTS)
    assert skips["DICOMDIR"] == "a DICOMDIR, the index of other files"


@pytest.mark.parametrize(
    "change", [str.lower, str.upper, str.swapcase, lambda name: name.lower() + "."]
)
def test_the_names_on_a_disc_may_have_any_case(tmp_path, change):
    (tmp_path / "dicomdir").write_bytes((DICOMDIR_TESTS / "DICOMDIR").read_bytes())
    for path in DICOMDIR_TESTS.glob("[0-9]*/*/*"):
        parts = path.relative_to(DICOMDIR_TESTS).parts
        target = tmp_path.joinpath(*map(change, parts))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    scans, skips = skipped_by(tmp_path / "dicomdir")
    assert len({path for scan in scans for path in scan.sources}) == 31
    assert skips == {}


def test_an_index_of_thousands_lists_each_folder_once(tmp_path, monkeypatch):
    items = []
    series = tmp_path / "S"
    series.mkdir()
    for n in range(2000):
        item = Dataset()
        item.DirectoryRecordType = "IMAGE"
        item.ReferencedFileID = ["S", f"I{n}"]
        items.append(item)
        (series / f"I{n}").write_bytes(b"not DICOM")
    save(plane(0, (0, 0, 0)), series / "I0")
    index = Dataset()
    index.SOPClassUID, index.SOPInstanceUID = MediaStorageDirectoryStorage, "1.2"
    index.DirectoryRecordSequence = items
    save(index, tmp_path / "DICOMDIR")
    listed = counted(monkeypatch, "listdir")
    scans, skips = skipped_by(tmp_path / "DICOMDIR")
    assert len(listed) == 2  # the root, and the series
    assert len(scans) == 1
    assert set(skips.values()) == {"listed in the DICOMDIR, but not DICOM"}


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
