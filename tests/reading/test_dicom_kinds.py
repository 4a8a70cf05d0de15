"""Objects without a scan are recognised, and named in the reason they are left out."""

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from support.dicom_files import plane, save

from napari_resonance import read_scan, read_scans
from napari_resonance.errors import ReadError
from napari_resonance.reading import dicom_header
from napari_resonance.reading.dicom_kinds import other_than_scan

STORAGE = "1.2.840.10008.5.1.4.1.1."
FIND = "1.2.840.10008.5.1.4.31"


def bare(sop_class="", modality="OT", **tags):
    made = Dataset()
    made.SOPInstanceUID, made.Modality = "1.2.3.4.5", modality
    if sop_class:
        made.SOPClassUID = sop_class
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("sop_class", "modality", "kind"),
    [
        ("66.4", "SEG", "a segmentation"),
        ("66.5", "SEG", "a surface segmentation"),
        ("88.33", "SR", "a structured report"),
        ("88.59", "KO", "a key object selection"),
        ("11.1", "PR", "a presentation state"),
        ("9", "US", "a curve"),
        ("9.1.1", "ECG", "a waveform"),
        ("9.4.1", "AU", "an audio waveform"),
        ("104.1", "DOC", "an encapsulated PDF"),
        ("104.2", "DOC", "an encapsulated CDA document"),
        ("104.3", "M3D", "an encapsulated STL model"),
        ("4.2", "MR", "MR spectroscopy data"),
        ("66", "MR", "raw data"),
        ("481.2", "RTDOSE", "a radiotherapy dose"),
        ("481.3", "RTSTRUCT", "a radiotherapy structure set"),
        ("481.18", "RTRAD", "a radiotherapy object"),
        ("77.1.5.3", "OP", "a stereometric relationship of two images"),
        ("200.1", "CT", "a procedure protocol"),
        ("2", "CT", "an image object whose pixels were left out"),
    ],
)
def test_kinds_by_storage_class(tmp_path, sop_class, modality, kind):
    path = save(bare(STORAGE + sop_class, modality), tmp_path / "x")
    reasons = []
    with pytest.raises(ReadError, match=f"is {kind}, not a scan"):
        read_scans(path)
    assert read_scans(tmp_path, on_skip=lambda _, why: reasons.append(why)) == []
    assert reasons == [f"is {kind}, not a scan"]


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.38.1", "a hanging protocol"),
        ("1.2.840.10008.5.1.4.39.1", "a colour palette"),
        ("1.3.12.2.1107.5.9.1", "private data of its maker"),
        ("1.2.840.113619.4.27", "private data of its maker"),
    ],
)
def test_kinds_beside_the_storage_classes(tmp_path, sop_class, kind):
    with pytest.raises(ReadError, match=f"is {kind}"):
        read_scan(save(bare(sop_class), tmp_path / "x"))


def test_kinds_by_what_only_they_hold(tmp_path):
    report = bare(FIND, ContentSequence=[Dataset()])
    worklist = bare(FIND, ScheduledProcedureStepSequence=[Dataset()])
    with pytest.raises(ReadError, match="is a structured report"):
        read_scan(save(report, tmp_path / "1"))
    with pytest.raises(ReadError, match="is an entry of a worklist"):
        read_scan(save(worklist, tmp_path / "2"))


@pytest.mark.parametrize("number", ["100", "100.1", "102", "106.1", "108"])
def test_videos_are_named(tmp_path, number):
    made = plane(0, None)
    made.PixelData = encapsulate([b"\0\0\1\xb3" + bytes(60)])
    path = save(made, tmp_path / "x")
    with dicom_header.quiet:
        opened = dicom_header.open_header(path)
    video = dicom_header.Opened(
        path,
        opened.header,
        opened.dataset,
        f"1.2.840.10008.1.2.4.{number}",
        opened.pixels_at,
    )
    assert other_than_scan(video) == "a video"


def test_a_picture_of_a_report_is_a_picture(tmp_path):
    tags = {"SOPClassUID": STORAGE + "7", "Modality": "SR"}
    assert read_scan(save(plane(0, None, **tags), tmp_path / "x")).modality == "SR"
