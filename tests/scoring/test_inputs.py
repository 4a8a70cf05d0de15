"""What a run is pointed to: lists, tables and patterns stand for what they name."""

import gzip
import zipfile
from pathlib import Path

import pytest
from support.scoring import write_scan

from napari_resonance.errors import ReadError
from napari_resonance.scoring.inputs import Input, inputs_of
from napari_resonance.scoring.plan import find


@pytest.fixture
def here(tmp_path):
    for name in ("a/1.nii", "a/2.nii", "b/1.nii", "b/[x].nii"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def paths(found, here):
    return [item.path.relative_to(here).as_posix() for item in found]


def test_files_and_folders_stand_for_themselves_once(here):
    found = inputs_of([here / "a", str(here / "b/1.nii"), here / "a"])
    assert paths(found, here) == ["a", "b/1.nii"]


def test_patterns_are_filled_in_order(here):
    assert paths(inputs_of([here / "*/1.nii"]), here) == ["a/1.nii", "b/1.nii"]
    deep = inputs_of([here / "**/2.nii"])
    assert paths(deep, here) == ["a/2.nii"]


def test_a_name_that_looks_like_a_pattern_is_a_name_where_it_exists(here):
    assert paths(inputs_of([here / "b/[x].nii"]), here) == ["b/[x].nii"]


def test_a_list_names_paths_beside_it(here):
    (here / "list.txt").write_text("\ufeff# heads\na/1.nii\n\n  b \n", "utf-8")
    assert paths(inputs_of([here / "list.txt"]), here) == ["a/1.nii", "b"]
    (here / "far.txt").write_text("/elsewhere/scan.nii\n")
    assert inputs_of([here / "far.txt"]) == [Input(Path("/elsewhere/scan.nii"))]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "sep={}\n", "\n\n"])
def test_a_table_names_regions(here, sign, before):
    rows = [
        "note,Path,center_x,center_y,center_z",
        "left,a/1.nii,-12.5,30,8",
        "right,a/1.nii,14,30,8",
        "all,b/1.nii,,,",
    ]
    table = here / "regions.csv"
    text = "\n".join(rows).replace(",", sign)
    table.write_text(before.format(sign) + text)
    assert inputs_of([table]) == [
        Input(here / "a/1.nii", (-12.5, 30.0, 8.0)),
        Input(here / "a/1.nii", (14.0, 30.0, 8.0)),
        Input(here / "b/1.nii"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("l.txt", "# nothing\n", "names nothing"),
        ("l.csv", "", "no column 'path'"),
        ("l.csv", "file\nx\n", "no column 'path'"),
        ("l.csv", "path,center_x\na,1\n", "center_x only"),
        ("l.csv", "path,center_x,center_y,center_z\na,1,,3\n", "line 2 has no place"),
        ("l.csv", "path,center_x,center_y,center_z\na,1,nan,3\n", "line 2 has no"),
    ],
)
def test_what_cannot_be_meant_is_refused(here, name, text, words):
    (here / name).write_text(text)
    with pytest.raises(ReadError, match=words):
        inputs_of([here / name])


def test_a_pattern_that_fits_nothing_is_refused(here):
    with pytest.raises(ReadError, match="fits this pattern"):
        inputs_of([here / "c*"])


def test_a_list_in_another_encoding_is_refused(here):
    (here / "l.txt").write_bytes("Müller".encode("latin-1"))
    with pytest.raises(ReadError, match="cannot be read"):
        inputs_of([here / "l.txt"])


def test_what_lies_beside_scans_in_an_archive_is_no_failure(tmp_path):
    """Notes, and what a Mac puts into each archive and beside each file of a share."""
    scan = write_scan(tmp_path / "scan.nii", 10).read_bytes()
    studies = tmp_path / "studies"
    studies.mkdir()
    (studies / "._scan.nii").write_bytes(bytes(400))
    with zipfile.ZipFile(studies / "study.zip", "w") as to:
        to.writestr("scan.nii", scan)
        to.writestr("cut.nii", scan[:400])
        to.writestr("readme.txt", "notes")
        to.writestr("table.csv.gz", gzip.compress(b"a,b"))
        to.writestr("empty", "")
        to.writestr("__MACOSX/._scan.nii", bytes(400))
        to.writestr("inner.zip", (b"PK\3\4" + bytes(600)))
    plan = find([studies], tmp_path / "out")
    refused = {Path(item.source).name: item.refused for item in plan.items}
    assert set(refused) == {"scan.nii", "cut.nii", "inner.zip"}
    assert not refused["scan.nii"]
    assert len(plan.left_out) == 5
