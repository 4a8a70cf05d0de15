"""Labels: tables of all dialects, folders of classes, whose scans they are."""

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from napari_resonance.errors import TrainingError
from napari_resonance.training.labels import _alike, read_labels

from .conftest import blobs, scan_file

FOUR = ("a.nii", "b.nii", "c.nii", "d.nii")
PLAIN = "path,label,patient\na.nii,x,1\nb.nii,x,2\nc.nii,y,3\nd.nii,y,4\n"


def test_a_plain_table(write_labels, tmp_path):
    found = read_labels(write_labels(PLAIN, *FOUR))
    assert found.labels == ("x", "y")
    assert found.patient_from == "column"
    assert found.warnings == ()
    first = found.cases[0]
    assert first.paths == (tmp_path / "a.nii",)
    assert (first.label, first.patient, first.source) == ("x", "1", "a.nii")
    assert (first.split, first.weight, first.center_mm) == ("", 1.0, None)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("\ufeff" + PLAIN, "utf-8"),
        (PLAIN, "utf-16"),
        (PLAIN.replace(",", ";"), "utf-8"),
        (PLAIN.replace(",", "\t"), "utf-8"),
        ("sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"), "utf-8"),
        (PLAIN.replace("path,label,patient", " Path , LABEL,Patient ID "), "utf-8"),
        ("\n" + PLAIN.replace("\n", "\n\n"), "utf-8"),
        (PLAIN.replace(",1\n", ", 1 \n"), "utf-8"),
        (PLAIN.replace("a.nii,x,1", '"a.nii","x","1"'), "utf-8"),
    ],
)
def test_dialects_say_the_same(write_labels, text, encoding):
    plain = read_labels(write_labels(PLAIN, *FOUR))
    assert read_labels(write_labels(text, encoding=encoding)) == plain


def test_all_columns(write_labels, tmp_path):
    path = write_labels(
        "path;label;patient;split;weight;center_x;Center Y;center_z;channel_2;site\n"
        "a.nii;x;1;Training;0,5;-1,5;2;3;b.nii;north\n"
        "a.nii;y;1;train;;4;5;6;b.nii;north\n"
        "c.nii;x;2;val;2;0;0;0;d.nii;\n"
        "c.nii;y;2;validation;2;0;0;1;d.nii;\n",
        *FOUR,
    )
    first, second, third, _ = read_labels(path).cases
    assert first.paths == (tmp_path / "a.nii", tmp_path / "b.nii")
    assert first.center_mm == (-1.5, 2.0, 3.0)
    assert (first.weight, second.weight) == (0.5, 1.0)
    assert (first.split, third.split) == ("train", "validation")
    assert first.groups == {"site": "north"}
    assert third.groups == {}
    assert first.source == "a.nii @ -1.5, 2, 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no labelled scans"),
        ("path,label\n", "no labelled scans"),
        ("file,label\na.nii,x\n", "'path' is missing; there are: file, label"),
        ("path,label,label\na.nii,x,x\n", "'label' is there twice"),
        ("path,label\na.nii,\n", "line 2: the column 'label' is empty"),
        ("path,label\na.nii,x,1\n", "line 2 has 3 values"),
        ("path,label\nno.nii,x\n", "this labelled scan does not exist"),
        ("path,label\nno.nii,x\nnor.nii,x\n", "2 labelled scans do not exist"),
        ("path,label,patient\na.nii,x,1\nb.nii,x,\n", "'patient' has gaps.*line 3"),
        ("path,label,split\na.nii,x,train\nb.nii,x,\n", "'split' has gaps"),
        ("path,label,split\na.nii,x,eval\n", "no side 'eval'"),
        ("path,label,weight\na.nii,x,much\n", "weight 'much' is no number"),
        ("path,label,weight\na.nii,x,nan\n", "weight 'nan' is no number"),
        ("path,label,weight\na.nii,x,-1\n", "weight -1 is not above 0"),
        ("path,label,center_x\na.nii,x,1\n", "a centre needs the columns"),
        ("path,label,center_x,center_y,center_z\na.nii,x,1,,2\n", "incomplete"),
        ("path,label,center_x,center_y,center_z\na.nii,x,1,b,2\n", "'b' is no number"),
        ("path,label,patient\na.nii,x,1\na.nii,y,1\n", "a.nii has two labels"),
        ("path,label,patient\na.nii,x,1\na.nii,x,2\n", "two patients"),
        (
            "path,label,patient,split\na.nii,x,1,train\nb.nii,y,1,test\n",
            "patient of b.nii is on two sides",
        ),
        ("path,label,patient\na.nii,x,1\nb.nii,x,2\n", "all cases have one label"),
        (
            "path,label,patient\na.nii,x,1\nb.nii,x,2\nc.nii,y,3\n",
            "class 'y' has 1 patient, 2 are needed",
        ),
        ('path,label\n"a.nii,x\n', "the column 'label' is empty|cannot read"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(write_labels, text, message):
    path = write_labels(text, *FOUR)
    with pytest.raises(TrainingError, match=message) as caught:
        read_labels(path)
    assert caught.value.source is not None


@pytest.mark.parametrize("content", [b"PK\x03\x04sheet", b"path,label\0\n"])
def test_what_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / "labels.xlsx"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="no text file"):
        read_labels(path)
    with pytest.raises(TrainingError, match="cannot read the labels"):
        read_labels(tmp_path / "nowhere.csv")


def test_one_scan_by_two_names_with_two_labels_is_a_conflict(write_labels, tmp_path):
    path = write_labels(PLAIN, "a.nii", "c.nii", "d.nii")
    (tmp_path / "b.nii").symlink_to("a.nii")
    text = PLAIN.replace("b.nii,x,2", "b.nii,y,1")
    path.write_text(text)
    with pytest.raises(TrainingError, match=r"b\.nii has two labels"):
        read_labels(path)


def test_a_repeated_row_is_left_out_and_told(write_labels):
    found = read_labels(write_labels(PLAIN + "a.nii,x,1\n", *FOUR))
    assert len(found.cases) == 4
    assert found.warnings == ("1 row repeats another: left out",)


def test_given_labels_decide_the_order_and_refuse_others(write_labels):
    path = write_labels(PLAIN, *FOUR)
    assert read_labels(path, labels=("y", "x")).labels == ("y", "x")
    # All at once: nobody wants to mend them one after the other.
    with pytest.raises(TrainingError, match="2 scans have unknown labels, 'y'; the"):
        read_labels(path, labels=("x", "z"))
    with pytest.raises(TrainingError, match="4 scans have unknown labels, 'x', 'y';"):
        read_labels(path, labels=("X", "Y"))
    with pytest.raises(TrainingError, match="'z' has 0 patients"):
        read_labels(path, labels=("x", "y", "z"))
    one = write_labels(PLAIN.replace("d.nii,y", "d.nii,maybe"), *FOUR)
    with pytest.raises(TrainingError, match="has the unknown label 'maybe'"):
        read_labels(one, labels=("x", "y"))


def test_cases_to_judge_with_need_no_second_patient(write_labels):
    path = write_labels("path,label\na.nii,x\n", *FOUR)
    found = read_labels(path, labels=("x", "y"), patients_per_class=0)
    assert found.labels == ("x", "y")
    assert len(found.cases) == 1


def numbered(write_labels, *names):
    """Write a table of a dozen scans that have these labels in turn."""
    rows = [f"{n}.nii,{names[n % len(names)]},p{n}" for n in range(12)]
    files = [f"{n}.nii" for n in range(12)]
    return write_labels("path,label,patient\n" + "\n".join(rows), *files)


def test_a_whole_number_written_in_two_ways_is_one_class(write_labels):
    found = read_labels(numbered(write_labels, "0", "1", "1.0"))
    assert found.labels == ("0", "1")
    assert [case.label for case in found.cases] == ["0", "1", "1"] * 4
    assert found.warnings == ("labels that are whole numbers: '1.0' as '1'",)


def test_a_scan_is_not_in_conflict_with_the_same_number(write_labels):
    path = numbered(write_labels, "0", "1")
    path.write_text(f"{path.read_text()}\n1.nii,1.0,p1\n")
    assert len(read_labels(path).cases) == 12


@pytest.mark.parametrize(
    ("names", "warned"),
    [
        (("0.0", "1.0"), 0),  # spelled in one way: as it is written
        (("1", "1.50", "1.5"), 1),
        (("1", "01.0", "01"), 1),  # a code
        (("1.0", "1e0"), 1),
    ],
)
def test_other_numbers_stay_as_they_are_written(write_labels, names, warned):
    found = read_labels(numbered(write_labels, *names))
    assert found.labels == tuple(sorted(names))
    assert sum("different classes" in text for text in found.warnings) == warned


@pytest.mark.parametrize(
    ("names", "labels", "cases"),
    [
        (("0.0", "1.0"), ("0", "1"), ("0", "1")),
        (("0", "1"), ("0.0", "1.0"), ("0.0", "1.0")),
        (("1", "1.0"), ("1.0", "1"), ("1", "1.0")),  # a model that really has both
    ],
)
def test_numbers_are_labels_of_a_model_however_they_are_written(
    write_labels, names, labels, cases
):
    path = numbered(write_labels, *names)
    found = read_labels(path, labels=labels, patients_per_class=0)
    assert found.labels == labels
    assert tuple(case.label for case in found.cases[:2]) == cases


@pytest.mark.parametrize(
    ("name", "labels"),
    [("1.00", ("1", "1.0")), ("1.5", ("1", "2")), ("01.0", ("1", "2"))],
)
def test_numbers_that_are_not_a_models_are_refused(write_labels, name, labels):
    with pytest.raises(TrainingError, match=f"unknown labels, '{name}'"):
        read_labels(numbered(write_labels, name), labels=labels, patients_per_class=0)


def test_labels_that_differ_in_case_only_are_told(write_labels):
    text = PLAIN.replace("c.nii,y", "c.nii,X").replace("d.nii,y", "d.nii,X")
    (warning,) = read_labels(write_labels(text, *FOUR)).warnings
    assert "'X' and 'x'" in warning


@pytest.mark.parametrize(
    ("paths", "patients"),
    [
        (("p1/s1/a.nii", "p1/s2/a.nii", "p2/b.nii", "p3/b.nii"), "p1 p1 p2 p3"),
        (
            ("all/p1/a.nii", "all/p1/b.nii", "all/p2/b.nii", "all/p3/b.nii"),
            "p1 p1 p2 p3",
        ),
        (("x/p1/a.nii", "x/p2/a.nii", "y/p1/a.nii", "y/p2/a.nii"), "p1 p2 p1 p2"),
        (
            (
                "raw/sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
                "raw/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
                "raw/sub-02/anat/sub-02_T1w.nii.gz",
                "raw/sub-03/anat/sub-03_T1w.nii.gz",
            ),
            "sub-01 sub-01 sub-02 sub-03",
        ),
        (("a.nii", "b.nii", "c.nii", "d.nii"), "a b c d"),
    ],
)
def test_the_folder_stands_for_the_patient(write_labels, paths, patients):
    labels = ("x", "x", "y", "y")
    rows = [f"{p},{name}" for p, name in zip(paths, labels, strict=True)]
    path = write_labels("\n".join(["path,label", *rows]), *paths)
    found = read_labels(path, patients_per_class=1)
    assert found.patient_from == "folder"
    assert " ".join(case.patient for case in found.cases) == patients
    own = len(set(patients.split())) == 4
    assert any("patient of its own" in w for w in found.warnings) == own


def dicom(path, patient, **changes):
    image = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    image.PatientID = patient
    for name, value in changes.items():
        setattr(image, name, value)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path)
    return path


def series(folder, patient, uid, n=3):
    for k in range(n):
        place = [*map(str, (-158, -179, -75 + 5 * k))]
        dicom(
            folder / f"IM{uid}{k}",
            patient,
            SeriesInstanceUID=f"1.2.3.{uid}",
            SOPInstanceUID=f"1.2.3.{uid}.{k}",
            ImagePositionPatient=place,
            InstanceNumber=k + 1,
        )


def test_the_patient_of_a_dicom_folder_is_in_its_header(tmp_path):
    for n, (patient, label) in enumerate([("A7", "x"), ("A8", "x"), ("A7", "y")]):
        series(tmp_path / label / f"s{n}", patient, n + 1)
    scan_file(tmp_path / "y" / "p9" / "a.nii", blobs(0))
    found = read_labels(tmp_path)
    assert found.patient_from == "PatientID"
    patients = {case.source: case.patient for case in found.cases}
    assert patients["x/s0"] == patients["y/s2"] != patients["x/s1"]
    assert patients["y/p9/a.nii"] == "p9"
    assert "A7" not in repr(found)
    assert "1 of 4 cases have no PatientID" in found.warnings[0]


def test_one_identifier_for_all_is_none(tmp_path):
    for n, label in enumerate("xxyy"):
        dicom(
            tmp_path / label / f"p{n}" / "IM1",
            "ANONYMOUS",
            SeriesInstanceUID=f"1.2.{n + 1}",
            SOPInstanceUID=f"1.2.{n + 1}.1",
        )
    found = read_labels(tmp_path)
    assert found.patient_from == "folder"
    assert {case.patient for case in found.cases} == {"p0", "p1", "p2", "p3"}
    assert "same PatientID" in found.warnings[0]


def test_series_that_share_a_folder_are_cases_of_their_own(tmp_path):
    for label, first in (("x", 1), ("y", 3)):
        for n in range(2):
            series(tmp_path / label, f"{label}{n}", first + n)
    found = read_labels(tmp_path)
    assert len(found.cases) == 4
    assert all(len(case.files) == 3 for case in found.cases)
    assert len({case.source for case in found.cases}) == 4


def test_a_folder_for_each_class(tmp_path):
    for n, label in enumerate(("benign", "benign", "malign", "malign")):
        scan_file(tmp_path / label / f"s{n}.nii.gz", blobs(n))
    (tmp_path / "benign" / "notes.txt").write_text("nothing")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "later").mkdir()
    found = read_labels(tmp_path)
    assert found.labels == ("benign", "malign")
    assert [c.source for c in found.cases][:2] == [
        "benign/s0.nii.gz",
        "benign/s1.nii.gz",
    ]
    assert {c.patient for c in found.cases} == {"s0", "s1", "s2", "s3"}
    assert any("benign: 1 file was left out" in w for w in found.warnings)
    assert "later: there is no scan in this folder" in found.warnings


def test_folders_of_sides_hold_folders_of_classes(tmp_path):
    places = [
        "train/x/0",
        "train/x/1",
        "train/y/2",
        "train/y/3",
        "test/x/4",
        "test/y/5",
    ]
    for n, place in enumerate(places):
        scan_file(tmp_path / f"{place}.nii", blobs(n))
    found = read_labels(tmp_path)
    assert found.labels == ("x", "y")
    assert [c.split for c in found.cases].count("test") == 2


def test_a_folder_with_a_table_is_that_table(write_labels, tmp_path):
    path = write_labels(PLAIN, *FOUR)
    assert read_labels(tmp_path) == read_labels(path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="no folder in it that could be a class"):
        read_labels(tmp_path)
    (tmp_path / "x").mkdir()
    with pytest.raises(TrainingError, match="no scan in its folders"):
        read_labels(tmp_path)


def test_the_reference_scans(shared_data):
    found = read_labels(shared_data / "mr_sequence" / "labels.csv")
    assert found.labels == ("FLAIR", "T1w", "T2w")
    assert len(found.cases) == 28
    assert len({case.patient for case in found.cases}) == 8
    assert {c.groups["site"] for c in found.cases} >= {"Boston", "Ljubljana"}
    assert np.all([case.paths[0].exists() for case in found.cases])


def test_numbers_are_alike_by_their_value_and_not_by_their_first_digits():
    assert len(_alike(["1", "1.0", "2"])) == 1
    assert not _alike(["1234567", "1234568"])
    assert not _alike(["900000000000207008", "900000000000207009"])
