"""A volume is never mixed from two, and none is lost."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from support.dicom_files import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    enhanced,
    pixels_of,
    plane,
    save,
    set_pixels,
    write_stack,
)

from napari_resonance import read_scan, read_scans

DEPTHS = (0.0, 3.0, 6.0, 9.0)


def planes_of(scan, time=0):
    """Return the numbers of the planes that a scan was made of, in its order."""
    return [int(scan.stored(time)[0, 0, k]) // 100 for k in range(scan.grid_shape[2])]


def skipped_by(path):
    skips = []
    scans = read_scans(
        path, on_skip=lambda source, why: skips.append((source.name, why))
    )
    return scans, skips


def test_planes_are_ordered_by_position_not_by_number(tmp_path):
    write_stack(tmp_path, DEPTHS[::-1])
    scan = read_scan(tmp_path)
    assert planes_of(scan) == [3, 2, 1, 0]
    np.testing.assert_allclose(scan.affine[:3, 3], (-10, -20, 0))
    np.testing.assert_allclose(scan.spacing, (0.75, 1.5, 3))
    np.testing.assert_array_equal(scan.voxels[:, :, 0], pixels_of(3).T)


def test_three_plane_localisers_are_three_scans(tmp_path):
    for n, direction in enumerate((None, SAGITTAL, CORONAL)):
        tags = {"ImageOrientationPatient": list(direction)} if direction else {}
        for k in range(2):
            position = np.roll((0.0, 0.0, 5.0 * k), (0, 1, 2)[n])
            save(plane(2 * n + k, position, **tags), tmp_path / f"{n}{k}")
    scans = read_scans(tmp_path)
    assert [s.orientation for s in scans] == ["LPS", "PIR", "LIP"]
    assert [s.grid_shape[2] for s in scans] == [2, 2, 2]


@pytest.mark.parametrize(
    "tags",
    [
        {"EchoNumbers": 2, "EchoTime": 92.0},
        {"EchoTime": 92.0},
        {"ImageType": ["ORIGINAL", "PRIMARY", "P"]},
        {"InversionTime": 900.0},
        {"ContrastBolusAgent": "agent"},
    ],
)
def test_two_contrasts_in_one_series_are_two_scans(tmp_path, tags):
    write_stack(tmp_path / "a", DEPTHS, EchoNumbers=1, EchoTime=11.0)
    write_stack(tmp_path / "b", DEPTHS, first=4, **({"EchoTime": 11.0} | tags))
    one, other = read_scans(tmp_path)
    assert planes_of(one) == [0, 1, 2, 3]
    assert planes_of(other) == [4, 5, 6, 7]


@pytest.mark.parametrize(
    "tags",
    [
        {"SeriesInstanceUID": "1.2.3.9"},
        {"StudyInstanceUID": "1.2.9"},
        {"FrameOfReferenceUID": "1.2.9"},
        {"PixelSpacing": [1.6, 0.75]},
        {"Modality": "CT"},
        {"ImageType": ["DERIVED", "PRIMARY", "M"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    ],
)
def test_planes_that_cannot_belong_together_are_parted(tmp_path, tags):
    write_stack(tmp_path / "a", DEPTHS)
    write_stack(tmp_path / "b", (12.0, 15.0), first=4, **tags)
    assert sorted(s.grid_shape[2] for s in read_scans(tmp_path)) == [2, 4]


def test_an_echo_time_measured_slice_by_slice_parts_nothing(tmp_path):
    write_stack(tmp_path, DEPTHS, lambda n: {"EchoTime": 11.0 + n / 10})
    assert planes_of(read_scan(tmp_path)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "tags_of",
    [
        lambda t: {"TemporalPositionIdentifier": t + 1},
        lambda t: {"AcquisitionNumber": t + 1},
        lambda t: {"TriggerTime": 40.0 * t},
        lambda t: {"AcquisitionTime": f"1200{t:02}.5"},
        lambda t: {"DiffusionBValue": 500.0 * t},
        lambda t: {"FrameReferenceTime": 1000.0 * t},
    ],
)
def test_volumes_of_one_grid_become_a_time_series(tmp_path, tags_of):
    for t in range(3):
        write_stack(tmp_path / str(t), DEPTHS, first=4 * t, **tags_of(t))
    scan = read_scan(tmp_path)
    assert scan.shape == (7, 5, 4, 3)
    for t in range(3):
        assert planes_of(scan, t) == [4 * t + k for k in range(4)]


def test_diffusion_volumes_keep_their_weighting(tmp_path):
    weights = [0.0, 1000.0, 1000.0, 0.0]
    for t, b in enumerate(weights):
        tags = {"DiffusionBValue": b, "AcquisitionNumber": t}
        write_stack(tmp_path / str(t), DEPTHS, first=4 * t, **tags)
    scan = read_scan(tmp_path)
    assert scan.meta["diffusion_b_values"] == tuple(weights)


def test_volumes_without_any_mark_follow_the_instance_number(tmp_path):
    for t in range(2):
        write_stack(tmp_path / str(t), DEPTHS, first=4 * t)
    scan = read_scan(tmp_path)
    assert [planes_of(scan, t) for t in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert any("instance number only" in warning for warning in scan.warnings)


def test_volumes_without_instance_numbers_are_not_taken_for_copies(tmp_path):
    for t in range(2):
        write_stack(tmp_path / str(t), DEPTHS, first=4 * t, InstanceNumber=None)
    assert read_scan(tmp_path).shape == (7, 5, 4, 2)


def test_an_incomplete_last_volume_is_left_out_with_a_warning(tmp_path):
    for t in range(3):
        depths = DEPTHS if t < 2 else DEPTHS[:2]
        tags = {"TemporalPositionIdentifier": t}
        write_stack(tmp_path / str(t), depths, first=4 * t, **tags)
    (scan,), skips = skipped_by(tmp_path)
    assert scan.shape == (7, 5, 4, 2)
    assert "1 time point with 2 of 4 slices left out" in scan.warnings
    assert len(skips) == 2


def test_overlapping_acquisitions_are_two_scans(tmp_path):
    write_stack(tmp_path / "a", (0, 3, 6, 9), AcquisitionNumber=1)
    write_stack(tmp_path / "b", (6, 9, 12, 15, 18), first=4, AcquisitionNumber=2)
    one, other = read_scans(tmp_path)
    assert planes_of(one) == [0, 1, 2, 3]
    assert planes_of(other) == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("key", ["AcquisitionNumber", "TemporalPositionIdentifier"])
def test_volumes_that_follow_the_patient_stay_one_time_series(tmp_path, key):
    for t in range(3):
        for k in range(4):
            place = (10 + 0.05 * t, 20 + 0.1 * t, 3.0 * k - 0.08 * t)
            image = plane(4 * t + k, place, **{key: t + 1})
            save(image, tmp_path / f"{t}{k}")
    scan = read_scan(tmp_path)
    assert scan.shape == (7, 5, 4, 3)
    assert [planes_of(scan, t)[0] for t in range(3)] == [0, 4, 8]
    np.testing.assert_allclose(scan.affine[:3, 3], (-10, -20, 0))
    note = "its volumes moved by up to 0.27 mm; all are placed as the first is"
    assert scan.warnings == (note,)


def test_images_of_a_volume_each_that_follow_the_patient_stay_one_series(tmp_path):
    for t in range(3):
        frames = [{"position": (10, 20 + 0.9 * t, 3.0 * k)} for k in range(4)]
        pixels = np.stack([pixels_of(4 * t + k) for k in range(4)])
        save(enhanced(frames, pixels, InstanceNumber=t + 1), tmp_path / str(t))
    scan = read_scan(tmp_path)
    assert [planes_of(scan, t)[0] for t in range(3)] == [0, 4, 8]
    assert "its volumes moved by up to 1.80 mm" in scan.warnings[-1]


def test_images_of_a_slab_each_are_one_stack(tmp_path):
    for t in range(2):
        frames = [{"position": (10, 20, 3.0 * (4 * t + k))} for k in range(4)]
        pixels = np.stack([pixels_of(4 * t + k) for k in range(4)])
        save(enhanced(frames, pixels, InstanceNumber=t + 1), tmp_path / str(t))
    assert planes_of(read_scan(tmp_path)) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_thin_and_thick_slices_of_one_series_are_two_scans(tmp_path):
    write_stack(tmp_path / "thin", range(9), SliceThickness=1.0)
    write_stack(tmp_path / "thick", (0, 3, 6), first=9, SliceThickness=3.0)
    thin, thick = read_scans(tmp_path)
    assert planes_of(thin) == list(range(9))
    assert planes_of(thick) == [9, 10, 11]


def test_the_halves_of_an_interleaved_stack_are_one_volume(tmp_path):
    depths = (0, 6, 12, 18, 3, 9, 15, 21)
    write_stack(tmp_path, depths, lambda n: {"AcquisitionNumber": n // 4 + 1})
    assert planes_of(read_scan(tmp_path)) == [0, 4, 1, 5, 2, 6, 3, 7]


def test_pixel_sizes_that_differ_by_rounding_are_the_same(tmp_path):
    sizes = ([1.00004, 0.75], [1.00005, 0.75])
    write_stack(tmp_path, DEPTHS, lambda n: {"PixelSpacing": sizes[n % 2]})
    assert planes_of(read_scan(tmp_path)) == [0, 1, 2, 3]


def test_parts_of_a_complex_image_are_scans_of_their_own(tmp_path):
    for n in range(9):
        image = plane(n, (10.0, 20.0, 3.0 * (n % 3)), Manufacturer="GE MEDICAL SYSTEMS")
        block = image.private_block(0x43, "GEMS_PARM_01", create=True)
        block.add_new(0x2F, "SS", (0, 2, 3)[n // 3])
        save(image, tmp_path / str(n))
    scans = read_scans(tmp_path)
    assert [planes_of(scan) for scan in scans] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_an_acquisition_number_of_each_slice_parts_nothing(tmp_path):
    write_stack(tmp_path, DEPTHS, lambda n: {"AcquisitionNumber": 31744 + n})
    assert planes_of(read_scan(tmp_path)) == [0, 1, 2, 3]


def test_an_instance_sent_twice_is_read_once(tmp_path):
    write_stack(tmp_path / "a", DEPTHS)
    copied = sorted((tmp_path / "a").iterdir())[1]
    (tmp_path / "copy").write_bytes(copied.read_bytes())
    (scan,), skips = skipped_by(tmp_path)
    assert planes_of(scan) == [0, 1, 2, 3]
    assert "1 file sent twice, read once" in scan.warnings
    assert [why for _, why in skips] == ["a copy of an instance that was read already"]


def test_one_identifier_for_all_instances_loses_none(tmp_path):
    write_stack(tmp_path, DEPTHS, SOPInstanceUID="1.2.3.99")
    assert planes_of(read_scan(tmp_path)) == [0, 1, 2, 3]


def test_volumes_that_creep_by_microns_lose_no_plane(tmp_path):
    for t in range(12):
        depths = [depth + 0.008 * t for depth in (0.0, 0.05, 0.1)]
        tags = {"TemporalPositionIdentifier": t + 1}
        write_stack(tmp_path / str(t), depths, first=3 * t, **tags)
    scans = read_scans(tmp_path)
    n_planes = sum(scan.grid_shape[2] * scan.n_times for scan in scans)
    assert n_planes == 36


def test_a_slice_sent_again_under_another_uid_is_read_once(tmp_path):
    write_stack(tmp_path / "a", DEPTHS)
    save(plane(2, (10.0, 20.0, 6.0)), tmp_path / "again")
    (scan,), skips = skipped_by(tmp_path)
    assert planes_of(scan) == [0, 1, 2, 3]
    assert "1 file with slices sent twice left out" in scan.warnings
    assert len(skips) == 1


def test_one_more_image_at_a_place_is_left_out_with_a_warning(tmp_path):
    write_stack(tmp_path / "a", DEPTHS)
    save(plane(9, (10.0, 20.0, 6.0)), tmp_path / "more")
    (scan,), skips = skipped_by(tmp_path)
    assert planes_of(scan) == [0, 1, 2, 3]
    assert any("lie at the same place" in warning for warning in scan.warnings)
    assert skips == [("more", "one of several images at the same place")]


def test_files_of_one_list_make_one_scan(tmp_path):
    files = list(write_stack(tmp_path, DEPTHS).iterdir())
    (scan,) = read_scans(files)
    assert planes_of(scan) == [0, 1, 2, 3]
    assert planes_of(read_scan(files[0])) != [0, 1, 2, 3]


def test_scans_come_in_the_order_of_series_numbers(tmp_path):
    for n in (11, 2, 7):
        uid = f"1.2.3.{n}"
        write_stack(tmp_path / str(n), DEPTHS, SeriesNumber=n, SeriesInstanceUID=uid)
    assert [s.series for s in read_scans(tmp_path)] == [
        "1.2.3.2",
        "1.2.3.7",
        "1.2.3.11",
    ]


def test_enhanced_frames_are_grouped_like_classic_ones(tmp_path):
    frames = [
        {"position": (0, 0, z), "time": t, "echo_time": echo}
        for echo in (11.0, 92.0)
        for t in (1, 2)
        for z in (6, 3, 0)
    ]
    pixels = np.stack([pixels_of(n) for n in range(len(frames))])
    save(enhanced(frames, pixels), tmp_path / "enhanced")
    one, other = read_scans(tmp_path)
    assert one.shape == other.shape == (7, 5, 3, 2)
    assert [planes_of(one, t) for t in range(2)] == [[2, 1, 0], [5, 4, 3]]
    assert [planes_of(other, t) for t in range(2)] == [[8, 7, 6], [11, 10, 9]]
    assert (one.meta["echo_time_ms"], other.meta["echo_time_ms"]) == (11.0, 92.0)


def test_frames_at_one_place_without_a_time_are_volumes_in_their_order(tmp_path):
    frames = [{"position": (0, 0, 2 * z)} for _ in range(2) for z in range(3)]
    pixels = np.stack([pixels_of(n) for n in range(6)])
    save(enhanced(frames, pixels), tmp_path / "enhanced")
    scan = read_scan(tmp_path)
    assert [planes_of(scan, t) for t in range(2)] == [[0, 1, 2], [3, 4, 5]]


def test_stacks_of_an_enhanced_image_are_scans_of_their_own(tmp_path):
    frames = [
        {"position": (0, 0, 4 * n), "stack": "1"}
        if n < 3
        else {"position": (4 * n, 0, 0), "direction": SAGITTAL, "stack": "2"}
        for n in range(6)
    ]
    pixels = np.stack([pixels_of(n) for n in range(6)])
    save(enhanced(frames, pixels), tmp_path / "enhanced")
    assert [s.orientation for s in read_scans(tmp_path)] == ["LPS", "PIR"]


def test_an_enhanced_image_that_does_not_describe_all_frames_is_refused(tmp_path):
    frames = [{"position": (0, 0, z)} for z in range(3)]
    pixels = np.stack([pixels_of(n) for n in range(4)])
    save(enhanced(frames, pixels), tmp_path / "short")
    assert skipped_by(tmp_path) == ([], [("short", "describes 3 of its 4 frames")])


def test_frames_without_functional_groups_are_stacked_by_number(tmp_path):
    frames = [{"position": (0, 0, z)} for z in range(3)]
    pixels = np.stack([pixels_of(n) for n in range(3)])
    bare = enhanced(frames, pixels)
    del bare.PerFrameFunctionalGroupsSequence
    scan = read_scan(save(bare, tmp_path / "bare"))
    np.testing.assert_array_equal(scan.voxels.T, pixels)
    assert scan.orientation is None
    assert "its header lacks what would place its frames" in scan.warnings
    assert any("stacked by frame number" in warning for warning in scan.warnings)


def nuclear(**tags):
    """Return a reconstructed nuclear volume of four slices."""
    made = plane(0, None, Modality="NM", ImageOrientationPatient=None)
    made.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    made.SpacingBetweenSlices, made.SliceVector = 4.0, [1, 2, 3, 4]
    detector = Dataset()
    detector.ImagePositionPatient = [10.0, 20.0, 30.0]
    detector.ImageOrientationPatient = list(AXIAL)
    made.DetectorInformationSequence = [detector]
    set_pixels(made, np.stack([pixels_of(n) for n in range(4)]))
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize("step", [4.0, -4.0])
def test_a_nuclear_volume_is_placed_by_its_detector(tmp_path, step):
    save(nuclear(SpacingBetweenSlices=step), tmp_path / "x")
    scan = read_scan(tmp_path)
    assert scan.spacing == (0.75, 1.5, 4.0)
    bottom = min(30.0, 30 + 3 * step)
    np.testing.assert_allclose(scan.affine[:3, 3], (-10, -20, bottom))
    assert planes_of(scan) == ([0, 1, 2, 3] if step > 0 else [3, 2, 1, 0])


def test_a_gated_nuclear_volume_is_a_time_series(tmp_path):
    vectors = {"SliceVector": [1, 2, 1, 2], "TimeSlotVector": [1, 1, 2, 2]}
    save(nuclear(**vectors), tmp_path / "x")
    scan = read_scan(tmp_path)
    assert scan.shape == (7, 5, 2, 2)
    assert [planes_of(scan, t) for t in range(2)] == [[0, 1], [2, 3]]


def test_planar_nuclear_images_are_no_stack(tmp_path):
    made = nuclear(ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"])
    save(made, tmp_path / "x")
    assert read_scan(tmp_path).shape == (7, 5, 1, 4)


def test_colour_volumes_over_time_are_scans_of_their_own(tmp_path):
    for t in range(2):
        for n in range(3):
            made = plane(3 * t + n, (0, 0, 2 * n), TemporalPositionIdentifier=t + 1)
            rgb = np.stack([pixels_of(n)] * 3, axis=-1).astype(np.uint8)
            made.SamplesPerPixel, made.PlanarConfiguration = 3, 0
            made.PhotometricInterpretation = "RGB"
            made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
            made.PixelRepresentation = 0
            made.add_new("PixelData", "OB", rgb.tobytes() + b"\0")
            save(made, tmp_path / f"{t}{n}")
    scans = read_scans(tmp_path)
    assert [(s.shape, s.color, s.oriented) for s in scans] == [
        ((7, 5, 3, 3), True, True)
    ] * 2


def test_a_slope_of_zero_is_said(tmp_path):
    write_stack(tmp_path, DEPTHS, RescaleSlope=0, RescaleIntercept=0)
    scan = read_scan(tmp_path)
    assert scan.slope == 1
    note = "its rescale slope is 0, which would leave nothing; 1 assumed"
    assert scan.warnings == (note,)
