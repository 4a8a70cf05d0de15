"""Labels that are written are the labels that are read."""

import shutil
from dataclasses import replace

import pytest
from support.phantoms import phantom, write_dicom_series

from napari_resonance.errors import TrainingError
from napari_resonance.preprocessing import Recipe
from napari_resonance.reading import read_scans
from napari_resonance.training.cases import Case
from napari_resonance.training.label_folders import cases_in_folders
from napari_resonance.training.label_writer import write_labels as write
from napari_resonance.training.labels import read_labels
from napari_resonance.training.one_case import prepare_regions

TABLE = (
    "path,label,patient,split,weight,center_x,center_y,center_z,channel_2,site\n"
    "in/a.nii,x,1,train,0.5,-1.5,2,3.25,in/b.nii,north\n"
    "in/c.nii,x,2,validation,,0.1,0,0,in/d.nii,\n"
    'in/e.nii,"y, or z",3,test,2,4,5,6,in/b.nii,"a ""b"""\n'
    'in/f.nii,"y, or z",4,train,,4,5,6,in/b.nii,south\n'
)
FILES = tuple(f"in/{letter}.nii" for letter in "abcdef")


def test_what_is_written_is_read_again(write_labels, tmp_path):
    found = read_labels(write_labels(TABLE, *FILES))
    written = write(tmp_path / "again.csv", found.cases)
    assert read_labels(written) == found


def test_a_table_elsewhere_finds_its_scans(write_labels, tmp_path):
    found = read_labels(write_labels(TABLE, *FILES))
    written = write(tmp_path / "deep" / "er" / "labels.csv", found.cases)
    assert "../../in/a.nii" in written.read_text()
    again = read_labels(written)
    paths = [[p.resolve() for p in case.paths] for case in again.cases]
    assert paths == [[p.resolve() for p in case.paths] for case in found.cases]


def test_one_of_several_series_of_a_folder_is_told_apart(tmp_path):
    folder = tmp_path / "classes"
    for label in ("x", "y"):
        for n, name in enumerate(("oblique", "straight")):
            write_dicom_series(
                phantom(name)[0],
                tmp_path / "one",
                SeriesInstanceUID=f"1.2.{n + 1}.{len(label)}{ord(label)}",
                PatientID=f"{label}{n}",
            )
            (folder / label).mkdir(parents=True, exist_ok=True)
            for file in (tmp_path / "one").iterdir():
                shutil.move(file, folder / label / f"{n}-{file.name}")
    cases, _ = cases_in_folders(folder)
    assert all(len(case.files) > 1 for case in cases)
    named = [replace(case, patient=f"p{n}") for n, case in enumerate(cases)]
    again = read_labels(write(tmp_path / "labels.csv", named)).cases
    assert [case.files for case in again] == [case.files for case in cases]
    assert len({case.source for case in again}) == 4
    recipe = Recipe(3, (("orient", {"code": "RAS"}),))
    shapes = [prepare_regions([case], recipe)[0].array.shape for case in again]
    wanted = [read_scans(case.files)[0] for case in cases]
    assert sorted(shapes[0][1:]) == sorted(wanted[0].shape)
    assert sorted(shapes[1][1:]) == sorted(wanted[1].shape)


def test_a_series_that_is_not_there_is_named(tmp_path):
    write_dicom_series(phantom("straight")[0], tmp_path / "x")
    table = tmp_path / "labels.csv"
    table.write_text("path,label,series\nx,a,1.2.3.4\n")
    with pytest.raises(TrainingError, match="series is not in this folder"):
        read_labels(table)


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([], "no scan has a label yet"),
        (
            [Case((), "x", "p"), Case((), "y", "")],
            "only some of the scans have a patient",
        ),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, cases, message):
    cases = [replace(case, paths=(tmp_path / "a.nii",)) for case in cases]
    with pytest.raises(TrainingError, match=message):
        write(tmp_path / "labels.csv", cases)
    assert not list(tmp_path.iterdir())
