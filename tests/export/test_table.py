"""The CSV of predictions."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.results import prediction, strange

from napari_resonance.errors import ExportError
from napari_resonance.export.table import write_predictions, write_records, write_rows


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_row_a_prediction_with_a_column_a_label(tmp_path):
    odd = prediction(
        sure=False,
        prediction_set=("T1w", "T2w"),
        out_of_distribution=strange("not a head"),
        warnings=("first of 4 volumes", "thick slices"),
        files={"picture": Path("out/a.png")},
    )
    write_predictions([prediction(), odd], tmp_path / "results.csv")
    first, second = rows_of(tmp_path / "results.csv")
    assert list(first)[:7] == [
        "source", "model", "label", "probability", "p_T1w", "p_T2w", "p_FLAIR",
    ]  # fmt: skip
    assert (first["label"], first["p_T1w"], first["sure"]) == ("T1w", "0.973", "true")
    assert first["prediction_set"] == first["out_of_distribution"] == ""
    assert (second["sure"], second["prediction_set"]) == ("false", "T1w; T2w")
    assert second["out_of_distribution"] == "1.7"
    assert second["out_of_distribution_why"] == "not a head"
    assert second["warnings"] == "first of 4 volumes; thick slices"
    assert second["picture"] == "out/a.png"


def test_what_the_operating_point_says_has_a_column_where_there_is_one(tmp_path):
    shares = {"benign": 0.6, "malignant": 0.4}
    chosen = prediction(label="benign", probabilities=shares, threshold=0.3)
    write_predictions([prediction(), chosen], tmp_path / "results.csv")
    first, second = rows_of(tmp_path / "results.csv")
    assert (first["called"], second["called"]) == ("", "malignant")
    write_predictions([prediction()], tmp_path / "without.csv")
    assert "called" not in rows_of(tmp_path / "without.csv")[0]


def test_models_with_different_labels_share_one_table(tmp_path):
    other = prediction(model="b", probabilities={"CT": 0.4, "T1w": 0.6})
    write_predictions([prediction(), other], tmp_path / "results.csv")
    first, second = rows_of(tmp_path / "results.csv")
    assert (first["p_CT"], second["p_CT"], second["p_T2w"]) == ("", "0.4", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_is_never_a_formula(tmp_path, start):
    risky = prediction(source=f'{start}HYPERLINK("http://x")')
    write_predictions([risky], tmp_path / "results.csv")
    assert rows_of(tmp_path / "results.csv")[0]["source"].startswith(f"'{start}")


@pytest.mark.parametrize(
    ("label", "written"), [("-1", "-1"), ("-1.5", "-1.5"), ("-1+2", "'-1+2")]
)
def test_a_class_that_is_a_number_stays_one(tmp_path, label, written):
    write_rows(["label"], [{"label": label}], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == written


def test_numbers_stay_numbers_and_nan_is_empty(tmp_path):
    odd = prediction(probability=float("nan"), seconds=-1.5)
    write_predictions([odd], tmp_path / "results.csv")
    row = rows_of(tmp_path / "results.csv")[0]
    assert (row["probability"], row["seconds"]) == ("", "-1.5")


def test_no_prediction_gives_the_header_alone(tmp_path):
    write_predictions([], tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_text().startswith("source,model,label,")


def test_a_folder_that_cannot_be_made_is_an_export_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError):
        write_predictions([prediction()], tmp_path / "file" / "results.csv")


def test_regions_and_channels_have_columns_where_there_are_any(tmp_path):
    region = prediction(center_mm=(-12.5, 30.25, 8.0), box_mm=(10.0, 20.0, 30.0))
    several = prediction(channels=("t2.nii", "=flair.nii"))
    write_predictions([prediction(), region, several], tmp_path / "results.csv")
    plain, first, second = rows_of(tmp_path / "results.csv")
    assert [first[f"center_{axis}"] for axis in "xyz"] == ["-12.5", "30.25", "8"]
    assert first["box_mm"] == "10.0; 20.0; 30.0"
    assert second["channels"] == "t2.nii; =flair.nii"
    assert plain["center_x"] == plain["channels"] == second["center_x"] == ""
    write_predictions([prediction()], tmp_path / "results.csv")
    assert not {"center_x", "box_mm", "channels"} & set(
        rows_of(tmp_path / "results.csv")[0]
    )


def test_rows_have_a_column_for_each_coordinate(tmp_path):
    rows = [
        {
            "number": 1,
            "center_mm": (1.5, -2.0, 3.0),
            "place": "=cmd()",
            "area_mm2": None,
        },
        {"number": 2, "center_mm": (0.0, 0.0, 0.0), "place": "left", "area_mm2": 2.5},
    ]
    write_records(rows, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "number,center_x,center_y,center_z,place,area_mm2"
    assert lines[1] == "1,1.5,-2,3,'=cmd(),"
    assert lines[2] == "2,0,0,0,left,2.5"
    write_records([], tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text() == ""
