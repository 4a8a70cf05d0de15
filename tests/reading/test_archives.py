"""Archives are searched as folders are, and cannot do harm."""

import bz2
import contextlib
import gzip
import io
import os
import stat
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from support import phantoms
from support.dicom_files import pixels_of, plane, write_stack

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import CancelledError, ReadError, ResonanceError
from napari_resonance.reading import gzip_stream, unpacking

PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(autouse=True)
def private_folders(tmp_path_factory, monkeypatch):
    """Put what is unpacked where its remains can be seen; none may remain."""
    folder = tmp_path_factory.mktemp("unpacked")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def skipped_by(path):
    skips = {}
    scans = read_scans(path, on_skip=lambda source, why: skips.update({source: why}))
    return scans, {str(s.relative_to(path)): why for s, why in skips.items()}


def study(folder):
    """Write a DICOM series, a NIfTI pair, a mapped NIfTI file, and junk."""
    write_stack(folder / "a" / "series", (0, 2, 4))
    made, _ = phantoms.phantom()
    (folder / "b").mkdir()
    phantoms.write_nifti(made, folder / "b" / "brain.nii")
    (folder / "b" / "brain.json").write_text('{"Modality": "MR"}')
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._IM1").write_bytes(b"\0\5\x16\7")
    (folder / "notes.txt").write_text("text")
    return folder


def zipped(folder, path, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def zip_of(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def one_plane(n=0):
    made, stream = plane(n, (0, 0, 2 * n)), io.BytesIO()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["zip", "stored", "tar", "tar.gz", "tgz"])
@pytest.mark.parametrize("named", [True, False])
def test_an_archive_is_read_as_its_folder_would_be(tmp_path, kind, named):
    folder = study(tmp_path / "study")
    path = tmp_path / "in" / f"x.{kind}"
    path.parent.mkdir()
    if "tar" in kind or kind == "tgz":
        with tarfile.open(path, "w" if kind == "tar" else "w:gz") as archive:
            archive.add(folder, "")
    else:
        method = zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED
        zipped(folder, path, method)
    scans, skips = skipped_by(path if named else path.parent)
    expected = read_scans(folder)
    assert len(scans) == len(expected) == 2
    for scan, wanted in zip(scans, expected, strict=True):
        np.testing.assert_array_equal(scan.voxels, wanted.voxels)
        np.testing.assert_array_equal(scan.affine, wanted.affine)
        assert [s.relative_to(path) for s in scan.sources] == [
            s.relative_to(folder) for s in wanted.sources
        ]
        assert not isinstance(scan.voxels, np.memmap)
        assert scan.modality == wanted.modality == "MR"
    before = "" if named else f"{path.name}/"
    assert skips == {
        f"{before}__MACOSX": "hidden",
        f"{before}b/brain.json": "a text file",
        f"{before}notes.txt": "a text file",
    }


@pytest.mark.parametrize("name", ["x.dcm.gz", "scan.gz", "no_ending"])
def test_gzipped_dicom_is_read_by_any_name(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(one_plane()))
    for path in (tmp_path, tmp_path / name):
        scan = read_scan(path)
        np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels_of(0).T)
        assert scan.sources == (tmp_path / name,)


def test_a_series_of_gzipped_files_is_one_scan(tmp_path):
    for n in range(4):
        (tmp_path / f"{n}.dcm.gz").write_bytes(gzip.compress(one_plane(n)))
    scan = read_scan(tmp_path)
    assert scan.grid_shape[2] == 4
    assert {s.name for s in scan.sources} == {f"{n}.dcm.gz" for n in range(4)}


def test_gzipped_dicom_within_a_zip_archive(tmp_path):
    path = zip_of(
        tmp_path / "x.zip",
        [(f"{n}.dcm.gz", gzip.compress(one_plane(n))) for n in range(3)],
    )
    scan = read_scan(path)
    assert scan.grid_shape[2] == 3
    assert scan.sources[0] == path / "0.dcm.gz"


def test_a_nifti_image_in_a_gzip_file_of_another_name(tmp_path):
    made, _ = phantoms.phantom()
    phantoms.write_nifti(made, tmp_path / "x.nii.gz")
    (tmp_path / "x.nii.gz").rename(tmp_path / "brain.gz")
    assert read_scan(tmp_path / "brain.gz").sources == (tmp_path / "brain.gz",)


def test_a_real_gzipped_file_of_pydicom():
    scan = read_scan(PYDICOM / "zipMR.gz")
    wanted = read_scan(PYDICOM / "MR_small.dcm")
    assert scan.shape == (64, 64, 1)
    np.testing.assert_array_equal(scan.voxels, wanted.voxels)


def test_two_patients_and_their_index_in_one_archive(tmp_path):
    folder = PYDICOM / "dicomdirtests"
    path = tmp_path / "cd.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            if "DICOMDIR-" not in file.name:
                archive.write(file, file.relative_to(folder))
    scans, skips = skipped_by(path)
    assert len({scan.study for scan in scans}) > 1
    assert len({s for scan in scans for s in scan.sources}) == 31
    assert skips["DICOMDIR"].startswith("a DICOMDIR, the index of other files")


@pytest.mark.parametrize(
    "name",
    ["../out.dcm", "a/../../out.dcm", "/out.dcm", "C:/out.dcm", "..\\out.dcm", ".."],
)
def test_no_member_leaves_the_folder(tmp_path, name):
    inner = tmp_path / "in"
    inner.mkdir()
    path = zip_of(inner / "x.zip", [(name, one_plane()), ("good.dcm", one_plane())])
    scans, skips = skipped_by(path)
    assert [scan.sources for scan in scans] == [(path / "good.dcm",)]
    assert list(skips) == ["."]
    assert "would lie outside of the archive" in skips["."]
    assert not list(tmp_path.rglob("out.dcm"))


def test_links_and_devices_are_left_out(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for number, kind in enumerate(
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
        ):
            info = tarfile.TarInfo(f"member{number}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    linked = zipfile.ZipInfo("link")
    linked.external_attr = (stat.S_IFLNK | 0o777) << 16
    zip_of(tmp_path / "x.zip", [(linked, "/etc/passwd")])
    scans, skips = skipped_by(tmp_path)
    assert scans == []
    assert set(skips.values()) == {"a link or special file in an archive"}
    assert len(skips) == 5


def test_an_encrypted_member_says_so(tmp_path):
    path = zip_of(tmp_path / "x.zip", [("a.dcm", one_plane())])
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    _, skips = skipped_by(path)
    assert "encrypted" in skips["a.dcm"]


def test_an_archive_within_an_archive_is_refused(tmp_path):
    zip_of(tmp_path / "in.zip", [("a.dcm", one_plane())])
    inner = (tmp_path / "in.zip").read_bytes()
    path = zip_of(tmp_path / "x.zip", [("in.zip", inner), ("b.dcm", one_plane())])
    scans, skips = skipped_by(path)
    assert len(scans) == 1
    assert skips == {"in.zip": "an archive within an archive; unpack it first"}


def test_other_packings_are_named(tmp_path):
    (tmp_path / "x.bz2").write_bytes(bz2.compress(one_plane()))
    zip_of(tmp_path / "letter.docx", [("word/document.xml", "<?xml ")])
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"text"))
    _, skips = skipped_by(tmp_path)
    assert skips == {
        "x.bz2": "a bzip2 archive; unpack it first",
        "letter.docx": "a document or program packed as a zip archive",
        "text.gz": "a gzip archive of a text file",
    }
    with pytest.raises(ReadError, match="gzip archive of a text file"):
        read_scans(tmp_path / "text.gz")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz"])
def test_a_bomb_fills_neither_disk_nor_memory(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(unpacking, "_ALWAYS_UNPACK", 1 << 20)
    bomb = one_plane() + bytes(1 << 23)
    path = tmp_path / f"x.{kind}"
    if kind == "zip":
        zip_of(path, [("a.dcm", bomb)])
    elif kind == "gz":
        path.write_bytes(gzip.compress(bomb))
    else:
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo("a.dcm")
            info.size = len(bomb)
            archive.addfile(info, io.BytesIO(bomb))
    scans, skips = skipped_by(tmp_path)
    assert scans == []
    assert any("unpack" in why for why in skips.values())


def test_sizes_that_lie_are_counted_as_they_unpack(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_ALWAYS_UNPACK", 1 << 20)
    path = zip_of(tmp_path / "x.zip", [("a.dcm", one_plane() + bytes(1 << 23))])
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    scans, skips = skipped_by(path)
    assert scans == []
    assert list(skips) == ["a.dcm"]


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    path = zip_of(tmp_path / "x.zip", [("a.dcm", one_plane())])
    monkeypatch.setattr(unpacking, "_SPARE", 1 << 62)
    _, skips = skipped_by(path)
    assert skips == {"a.dcm": "there is no room to unpack it"}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "gz"])
@pytest.mark.parametrize("keep", [0.3, 0.6])
def test_a_cut_short_archive_gives_a_reason(tmp_path, kind, keep):
    folder = tmp_path / "study"
    write_stack(folder, range(0, 20, 2))
    path = tmp_path / "in" / f"x.{kind}"
    path.parent.mkdir()
    if kind == "zip":
        zipped(folder, path)
    elif kind == "gz":
        path.write_bytes(gzip.compress(one_plane()))
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
            archive.add(folder, "")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    _, skips = skipped_by(path.parent)
    assert any("damaged" in why for why in skips.values())
    if kind in ("zip", "gz"):
        with pytest.raises(ReadError, match="damaged") as caught:
            read_scans(path)
        assert caught.value.source == str(path)


def test_a_damaged_member_does_not_cost_the_others(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(3):
            archive.writestr(f"{n}.dcm", one_plane(n))
    content = bytearray(path.read_bytes())
    content[content.index(b"2.dcm") + 600] ^= 255
    path.write_bytes(content)
    (scan,), skips = skipped_by(path)
    assert scan.grid_shape[2] == 2
    assert "damaged" in skips["2.dcm"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_are_all_read(tmp_path):
    planes = [one_plane(0), one_plane(1)]
    path = zip_of(tmp_path / "x.zip", [("i.dcm", c) for c in (*planes, planes[0])])
    (scan,), skips = skipped_by(path)
    assert scan.grid_shape[2] == 2
    assert skips == {"i.dcm": "it stands in the archive twice"}


def test_a_file_and_a_folder_of_one_name(tmp_path):
    path = zip_of(tmp_path / "x.zip", [("a", one_plane(0)), ("a/b", one_plane(1))])
    assert read_scan(path).grid_shape[2] == 2


def test_names_in_any_encoding(tmp_path):
    path = tmp_path / "x.zip"
    info = zipfile.ZipInfo("Schädel.dcm")
    zip_of(path, [(info, one_plane())])
    content = path.read_bytes()
    assert read_scan(path).sources == (path / "Schädel.dcm",)
    # As many programs write it: UTF-8, without the bit that says so.
    at = content.index(b"PK\1\2")
    unsaid = bytearray(content)
    unsaid[7] &= ~8
    unsaid[at + 9] &= ~8
    path.write_bytes(unsaid)
    assert read_scan(path).sources == (path / "Schädel.dcm",)


def test_a_name_longer_than_any_file_system_takes(tmp_path):
    path = zip_of(
        tmp_path / "x.zip", [("n" * 300, one_plane()), ("d/" * 400 + "x", one_plane())]
    )
    scans, skips = skipped_by(path)
    assert scans == []
    assert len(skips) == 2


def test_errors_and_reasons_name_the_place_in_the_archive(tmp_path):
    broken = one_plane()[:400]
    path = zip_of(tmp_path / "x.zip", [("d/a.dcm", broken)])
    _, skips = skipped_by(path)
    assert list(skips) == ["d/a.dcm"]
    (tmp_path / "x.dcm.gz").write_bytes(gzip.compress(broken))
    with pytest.raises(ReadError) as caught:
        read_scans(tmp_path / "x.dcm.gz")
    assert caught.value.source == str(tmp_path / "x.dcm.gz")


def test_stopping_between_members(tmp_path):
    path = zip_of(tmp_path / "x.zip", [(f"{n}", one_plane(n)) for n in range(9)])
    asked = []
    with pytest.raises(CancelledError):
        read_scans(path, should_stop=lambda: asked.append(1) or len(asked) > 3)


def test_the_folder_is_private(tmp_path, private_folders):
    path = zip_of(tmp_path / "x.zip", [("a.dcm", one_plane())])
    modes = []

    def note():
        modes.extend(stat.S_IMODE(p.stat().st_mode) for p in private_folders.iterdir())
        return False

    read_scans(path, should_stop=note)
    assert set(modes) == {0o700} or os.name == "nt"


def test_without_isal_zlib_serves(tmp_path, monkeypatch):
    gzip_stream._inflater.cache_clear()
    monkeypatch.setitem(sys.modules, "isal", None)
    (tmp_path / "x.dcm.gz").write_bytes(gzip.compress(one_plane()))
    assert read_scan(tmp_path / "x.dcm.gz").grid_shape[2] == 1
    assert gzip_stream._inflater() is zlib
    gzip_stream._inflater.cache_clear()


def seeds():
    members = [("a/1.dcm", one_plane(0)), ("2.dcm.gz", gzip.compress(one_plane(1)))]
    packed, tarred, plain = io.BytesIO(), io.BytesIO(), io.BytesIO()
    zip_of(packed, members)
    for stream, mode in ((tarred, "w:gz"), (plain, "w")):
        with tarfile.open(fileobj=stream, mode=mode, format=tarfile.PAX_FORMAT) as t:
            for name, content in members:
                info = tarfile.TarInfo(name + "ä" * 120)
                info.size = len(content)
                t.addfile(info, io.BytesIO(content))
    whole = gzip.compress(one_plane())
    return [s.getvalue() for s in (packed, tarred, plain)] + [whole]


SEEDS = seeds()


@settings(
    max_examples=200,
    deadline=20_000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_a_damaged_archive_ends_in_scans_or_in_our_error(tmp_path, data):
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 6))):
        # Names and sizes of a zip archive stand at its end.
        at = data.draw(st.integers(0, 700) | st.integers(-700, -1)) % len(content)
        if data.draw(st.booleans()):
            content[at] = data.draw(st.integers(0, 255))
        else:
            content[at : at + 4] = data.draw(st.binary(max_size=6))
    (tmp_path / "x").write_bytes(content)
    for path in (tmp_path / "x", tmp_path):
        # What was not named is no reason for an error.
        errors = (ResonanceError,) if path.is_file() else ()
        with contextlib.suppress(*errors):
            read_scans(path)
