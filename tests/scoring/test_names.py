"""Names of patients stay out of tables and reports, and can be looked up at home."""

import csv
import os

import pytest
from support.scoring import run, write_scan

from napari_resonance.errors import ExportError, ReadError
from napari_resonance.scoring.names import KEY, Shown, is_harmless
from napari_resonance.scoring.run import rebuild, reveal

OUTPUTS = ("scores.csv", "scores.parquet", "studies.csv", "report.html", "run.json")


def sources(out):
    with open(out / "scores.csv", newline="", encoding="utf-8") as file:
        return [row["source"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "part",
    [
        *("sub-01_ses-2_T1w.nii.gz", "IM000012", "p12", "T1W_post_contrast.nii", "."),
        *(
            "chest_pa.dcm",
            "ct_dicom",
            "anonScan",
            "site-3",
            "study1_FLAIR.nii.gz",
            "..",
        ),
    ],
)
def test_words_of_the_trade_and_small_numbers_are_shown(part):
    assert is_harmless(part)


@pytest.mark.parametrize(
    "part",
    [
        *("MUELLER_HANS", "Li", "Wu Xu", "t1_anna.nii.gz", "AnnaT1w", "head-anthony"),
        *(
            "24100413",
            "1960-05-19",
            "19.5.60",
            "0048213",
            "1.2.840.113619.2.5",
            "Bjørn",
        ),
        *("陈", "O'Neill"),
    ],
)
def test_whatever_may_be_a_name_a_date_or_an_identifier_is_not(part):
    assert not is_harmless(part)


def test_no_output_holds_a_name_and_each_can_be_looked_up(tmp_path):
    studies, out = tmp_path / "in", tmp_path / "out"
    write_scan(studies / "site1/MUELLER_HANS/t1.nii", 10)
    write_scan(studies / "site1/MUELLER_HANS/hans_t2.nii.gz", 10)
    write_scan(studies / "sub-02/t1.nii", 90)
    broken = write_scan(studies / "meier.nii", 20)
    broken.write_bytes(broken.read_bytes()[:380])
    (studies / "meier_letter.txt").write_text("Dear Mr Meier")
    run(studies, out, study="max", series="source~t or source~meier")
    for name in OUTPUTS:
        data = (out / name).read_bytes().lower()
        assert not any(word in data for word in (b"mueller", b"hans", b"meier")), name
    shown = sources(out)
    assert "sub-02/t1.nii" in shown
    coded = [s for s in shown if s.startswith("site1/")]
    folders = {s.split("/")[1] for s in coded}
    assert len(coded) == 2
    assert len(folders) == 1
    (folder,) = folders
    assert reveal(out, [folder]) == {folder: ("site1/MUELLER_HANS",)}
    (t2,) = [s for s in coded if s.endswith(".nii.gz")]
    assert reveal(out, [t2]) == {t2: ("site1/MUELLER_HANS/hans_t2.nii.gz",)}
    with pytest.raises(ReadError, match="nothing here has the code"):
        reveal(out, ["0123456789abcdef"])


def test_codes_stay_the_same_and_names_come_back_if_asked(tmp_path):
    studies, out = tmp_path / "in", tmp_path / "out"
    write_scan(studies / "Anna/t1.nii", 10)
    run(studies, out)
    before = sources(out)
    assert run(studies, out).resumed == 1
    assert sources(out) == before
    rebuild(out, identifiers=True)
    assert sources(out) == ["Anna/t1.nii"]
    rebuild(out)
    assert sources(out) == before
    other = tmp_path / "other"
    run(studies, other)
    assert sources(other) != before  # a code tells nothing outside of its folder


def test_the_key_is_for_its_owner_only(tmp_path):
    Shown(tmp_path, identifiers=False)
    if os.name == "posix":
        assert (tmp_path / KEY).stat().st_mode & 0o777 == 0o600
    (tmp_path / KEY).write_text("no key")
    with pytest.raises(ExportError, match="key"):
        Shown(tmp_path, identifiers=False)


def test_texts_about_a_source_lose_its_names(tmp_path):
    shown = Shown(tmp_path, identifiers=False)
    told = shown.text("Meier.hdr is missing beside 1.2.3", "a/Meier.img", ["1.2.3"])
    assert "Meier" not in told
    assert "1.2.3" not in told
    plain = Shown(tmp_path, identifiers=True)
    assert plain.text("Meier", "Meier", ["1.2.3"]) == "Meier"
