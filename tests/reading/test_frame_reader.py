"""Headers that are scanned say what pydicom says, and anything odd is left to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from support.dicom_files import enhanced, pixels_of, plane, save

from napari_resonance.errors import ReadError
from napari_resonance.reading import dicom_frames, frame_reader
from napari_resonance.reading.dicom_frames import frames_of
from napari_resonance.reading.dicom_header import quiet
from napari_resonance.reading.frame_reader import FrameReader
from napari_resonance.samples import sample_path


def described(reader: Any, path: Path) -> Any:
    """Return the planes, or the sentence that refuses the file."""
    with quiet:
        try:
            return reader(path)
        except ReadError as error:
            return error.message


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Note the files that are left to pydicom."""
    paths: list[Path] = []
    inner = frame_reader.open_header

    def noted(path: Path, *arguments: Any) -> Any:
        paths.append(path)
        return inner(path, *arguments)

    monkeypatch.setattr(frame_reader, "open_header", noted)
    return paths


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_most_files_of_a_series_are_not_parsed_by_pydicom(
    tmp_path: Path, parsed: list[Path], syntax: Any
) -> None:
    files = []
    for n in range(30):
        # Values of other lengths, and a sequence of undefined length that differs.
        made = plane(n, (0, 0, 9.5 * n), AcquisitionTime=f"1010{n:02d}.{n}")
        # Parsed early by pydicom in implicit files: that must not count as different.
        made.StudyInstanceUID, made.SOPClassUID = "1.2.33", "1.2.840.10008.5.1.4.1.1.2"
        made.Modality = "CT"
        made.ReferencedImageSequence = Sequence([plane(n)[0x00080018:0x00080019]])
        made["ReferencedImageSequence"].is_undefined_length = n % 2 == 0
        files.append(save(made, tmp_path / f"{n}.dcm", *([syntax] if syntax else [])))
    reader = FrameReader()
    assert [described(reader.frames_of, f) for f in files] == [
        described(frames_of, f) for f in files
    ]
    assert len(parsed) <= 8


def test_a_real_series_is_scanned(parsed: list[Path]) -> None:
    files = sorted(sample_path("oblique-pd").iterdir())
    reader = FrameReader()
    assert [described(reader.frames_of, f) for f in files] == [
        described(frames_of, f) for f in files
    ]
    assert len(parsed) < len(files) / 2


def test_real_files_of_many_kinds_in_one_go(shared_data: Path) -> None:
    import pydicom.data

    found = sorted((Path(pydicom.data.__file__).parent / "test_files").rglob("*.dcm"))
    for folder in ("dicom_reference/dual_echo", "ct_dicom", "xray_dicom"):
        found += [p for p in (shared_data / folder).rglob("*") if p.is_file()]
    reader = FrameReader()
    for path in found * 2:
        assert described(reader.frames_of, path) == described(frames_of, path), path


@pytest.mark.parametrize(
    "change",
    [
        {"Rows": 6},
        {"PixelSpacing": [1.5, 0.8]},
        {"SeriesInstanceUID": "1.2.3.9"},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        {"RescaleSlope": 2.5, "RescaleIntercept": -7},
        {"EchoTime": 33.0},
        {"ImagePositionPatient": None},
        {"InstanceNumber": None},
        {"SOPInstanceUID": "9.9"},
        {"TriggerTime": 12},
        {"ImagePositionPatient": [1e9, 0, 0]},
    ],
)
def test_a_file_that_differs_is_described_by_its_own_values(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    files = [save(plane(n, (0, 0, n)), tmp_path / f"{n}.dcm") for n in range(4)]
    odd = [
        save(plane(n, (0, 0, n), **change), tmp_path / f"{n}.dcm") for n in range(4, 8)
    ]
    reader = FrameReader()
    for path in (*files, *odd, *reversed(files), *reversed(odd)):
        assert described(reader.frames_of, path) == described(frames_of, path)


def test_big_endian_files_are_left_to_pydicom(
    tmp_path: Path, parsed: list[Path]
) -> None:
    files = [
        save(plane(n, (0, 0, n)), tmp_path / f"{n}.dcm", ExplicitVRBigEndian)
        for n in range(3)
    ]
    reader = FrameReader()
    for path in files:
        assert described(reader.frames_of, path) == described(frames_of, path)
    assert parsed == files


def test_every_wanted_tag_has_a_number() -> None:
    assert all(map(frame_reader.tag_of, dicom_frames.TAGS))


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_damaged_headers_mean_the_same_to_both(tmp_path: Path, data: Any) -> None:
    """Whatever bytes are changed, cut or doubled, scanning and parsing agree."""
    source = sorted(sample_path("oblique-pd").iterdir())[:6]
    reader = FrameReader()
    for path in source[:3]:
        reader.frames_of(path)
    content = bytearray(source[data.draw(st.integers(3, 5))].read_bytes())
    header = len(content) - 2 * 256 * 256
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(128, header + 16))
        how = data.draw(st.sampled_from(["change", "cut", "double", "end"]))
        n = data.draw(st.integers(1, 12))
        if how == "change":
            content[at : at + n] = data.draw(st.binary(min_size=n, max_size=n))
        elif how == "cut":
            del content[at : at + n]
        elif how == "double":
            content[at:at] = content[at : at + n]
        else:
            del content[at:]
    odd = tmp_path / "odd.dcm"
    odd.write_bytes(content)
    assert described(reader.frames_of, odd) == described(frames_of, odd)
    # Having met it, the reader still knows the others.
    assert described(reader.frames_of, source[3]) == described(frames_of, source[3])


def test_lengths_up_to_the_end_of_the_file_are_not_believed(tmp_path: Path) -> None:
    first = save(plane(0, (0, 0, 0)), tmp_path / "0.dcm")
    second = save(plane(1, (0, 0, 10.25)), tmp_path / "1.dcm")
    reader = FrameReader()
    reader.frames_of(first)
    reader.frames_of(second)
    content = second.read_bytes()
    at = content.index(np.array([0x20, 0x32], "<u2").tobytes() + b"DS") + 6
    second.write_bytes(content[:at] + b"\xff\xff" + content[at + 2 :])
    assert described(reader.frames_of, second) == described(frames_of, second)


def test_images_of_one_frame_are_placed_by_their_own_groups(tmp_path: Path) -> None:
    files = []
    for n in range(6):
        made = enhanced([{"position": (0, 0, 2.5 * n)}], pixels_of(n)[None])
        files.append(save(made, tmp_path / f"{n}.dcm"))
    reader = FrameReader()
    found = [described(reader.frames_of, f)[0] for f in files]
    assert [frame.position for frame in found] == [(0, 0, 2.5 * n) for n in range(6)]
    assert [[frame] for frame in found] == [described(frames_of, f) for f in files]


def test_slices_of_nuclear_medicine_are_placed_by_their_detector(
    tmp_path: Path,
) -> None:
    files = []
    for n in range(6):
        kind = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
        made = plane(n, Modality="NM", ImageType=kind, SpacingBetweenSlices=3.0)
        detector = Dataset()
        detector.ImagePositionPatient = [0, 0, 3 * n]
        detector.ImageOrientationPatient = made.ImageOrientationPatient
        made.DetectorInformationSequence = [detector]
        files.append(save(made, tmp_path / f"{n}.dcm"))
    reader = FrameReader()
    found = [described(reader.frames_of, f) for f in files]
    assert [frame.position for [frame] in found] == [(0, 0, 3 * n) for n in range(6)]
    assert found == [described(frames_of, f) for f in files]


def test_a_slice_of_nuclear_medicine_may_be_placed_as_other_images_are(
    tmp_path: Path,
) -> None:
    made = plane(0, (1, 2, 3), Modality="NM", ImageType=["ORIGINAL", "", "RECON TOMO"])
    (frame,) = frames_of(save(made, tmp_path / "0.dcm"))
    assert frame.position == (1, 2, 3)
    assert frame.is_placed


def test_a_slope_of_0_is_said_of_its_own_file_only(tmp_path: Path) -> None:
    files = []
    for n in range(12):
        slope = 0 if n in (5, 6, 9) else 1 + n
        made = plane(n, (0, 0, n), RescaleSlope=slope, RescaleIntercept=0)
        files.append(save(made, tmp_path / f"{n}.dcm"))
    reader = FrameReader()
    found = [described(reader.frames_of, f) for f in files]
    assert [n for n, [frame] in enumerate(found) if frame.notes] == [5, 6, 9]
    assert found == [described(frames_of, f) for f in files]


def test_files_of_no_series_belong_to_the_folder_that_they_are_in(
    tmp_path: Path,
) -> None:
    files = [
        save(
            plane(n, (0, 0, n), SeriesInstanceUID=None), tmp_path / folder / f"{n}.dcm"
        )
        for folder in ("one", "two")
        for n in range(5)
    ]
    reader = FrameReader()
    found = [described(reader.frames_of, f) for f in files]
    assert len({frame.series.uid for [frame] in found}) == 2
    assert found == [described(frames_of, f) for f in files]
