"""NIfTI and Analyze in every form that is met: what the header tells."""

import dataclasses
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nifti_files import AFFINE, NIBABEL_DATA, VOXELS, image, saved

from napari_resonance import read_scan
from napari_resonance.errors import ReadError
from napari_resonance.reading import outline_scans
from napari_resonance.reading.nifti_header import NiftiHeader
from napari_resonance.reading.nifti_layout import header_fields
from napari_resonance.reading.nifti_place import place_of
from napari_resonance.reading.outline import outline_of


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_every_dtype_and_byte_order(tmp_path, dtype, order, kind):
    voxels = (VOXELS % 100).astype(dtype)
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.dtype(dtype))
    nibabel.save(kind(voxels, AFFINE, header), tmp_path / "x.nii")
    scan = read_scan(tmp_path / "x.nii")
    assert scan.voxels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(scan.voxels, voxels)
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-5)


def test_analyze_has_spacing_but_no_orientation(tmp_path):
    made = nibabel.AnalyzeImage(VOXELS, np.diag([2, 3, 4, 1]))
    nibabel.save(made, tmp_path / "x.hdr")
    scan = read_scan(tmp_path / "x.hdr")
    assert scan.spacing == (2, 3, 4)
    assert not scan.oriented
    np.testing.assert_array_equal(scan.voxels, VOXELS)


@pytest.mark.parametrize(
    ("codes", "source"), [((1, 0), "sform"), ((0, 1), "qform"), ((2, 1), "sform")]
)
def test_the_coded_affine_is_used(tmp_path, codes, source):
    straight = np.diag([2.0, 3.0, 4.0, 1.0])
    made = nibabel.Nifti1Image(VOXELS, straight)
    made.header.set_sform(straight, codes[0])
    made.header.set_qform(straight, codes[1])
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    np.testing.assert_allclose(scan.affine, straight, atol=1e-5)
    assert scan.meta["affine_source"] == source
    assert scan.warnings == ()


def test_neither_sform_nor_qform_leaves_only_the_spacing(tmp_path):
    made = image(sform=0)
    made.header["pixdim"][1:4] = (2, 3, 4)
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    assert not scan.oriented
    np.testing.assert_array_equal(scan.affine, np.diag([2, 3, 4, 1]))
    assert "no orientation" in scan.warnings[0]


def test_a_missing_voxel_size_is_said(tmp_path):
    made = image(sform=0)
    made.header["pixdim"][1:4] = (0, np.nan, 4)
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    assert scan.spacing == (1, 1, 4)
    assert "1 mm assumed" in scan.warnings[1]


def test_sform_and_qform_that_disagree_are_said(tmp_path):
    made = image()
    made.header.set_qform(np.diag([9.0, 9, 9, 1]), 1)
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-5)
    assert "sform and qform disagree; the sform is used" in scan.warnings[0]


@pytest.mark.parametrize("row", [(0, 0, 0, 0), (np.nan, 0, 0, 0), (np.inf, 0, 0, 0)])
def test_an_affine_that_cannot_be_is_refused(tmp_path, row):
    made = image(srow_x=row)
    with pytest.raises(ReadError, match="zero, singular or not a number") as caught:
        read_scan(saved(made, tmp_path / "x.nii"))
    assert caught.value.remedy


def test_a_spoilt_sform_falls_back_on_the_qform(tmp_path):
    made = image(srow_x=(0, 0, 0, 0))
    made.header.set_qform(np.diag([2.0, 3, 4, 1]), 1)
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    assert scan.spacing == (2, 3, 4)
    assert "qform is used" in scan.warnings[0]


@pytest.mark.parametrize(
    ("slope", "inter", "expected"),
    [
        (2.5, -10, (2.5, -10)),
        (0, 7, (1, 0)),
        (np.nan, np.nan, (1, 0)),
        (np.inf, 0, (1, 0)),
        (2, np.nan, (2, 0)),
        (-1, 100, (-1, 100)),
    ],
)
def test_scaling(tmp_path, slope, inter, expected):
    made = image(scl_slope=slope, scl_inter=inter)
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    assert (scan.slope, scan.intercept) == expected
    np.testing.assert_allclose(scan.values(), VOXELS * expected[0] + expected[1])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 5), (4, 5, 1)),
        ((4, 5, 6, 1), (4, 5, 6)),
        ((4, 5, 1, 1, 3), (4, 5, 1, 3)),
        ((4, 1, 6), (4, 1, 6)),
        ((4, 5, 6, 2), (4, 5, 6, 2)),
        ((4, 5, 6, 1, 1, 2, 1), (4, 5, 6, 2)),
    ],
)
def test_singleton_axes(tmp_path, shape, expected):
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    scan = read_scan(saved(image(voxels), tmp_path / "x.nii.gz"))
    assert scan.shape == expected
    np.testing.assert_array_equal(scan.voxels.ravel(), voxels.ravel())


@pytest.mark.parametrize("shape", [(40,), (40, 1, 1), (1, 1, 9)])
def test_one_dimension_is_refused(tmp_path, shape):
    made = image(np.zeros(shape, np.int16))
    with pytest.raises(ReadError, match="single line of numbers"):
        read_scan(saved(made, tmp_path / "x.nii"))


def test_axes_beyond_time_are_refused(tmp_path):
    made = image(np.zeros((4, 5, 6, 2, 3), np.int16))
    with pytest.raises(ReadError, match="more axes than space and time"):
        read_scan(saved(made, tmp_path / "x.nii"))


def test_a_vector_axis_is_not_taken_for_time_in_silence(tmp_path):
    made = image(np.zeros((4, 5, 6, 1, 3), np.float32), intent_code=1007)
    assert "not time" in read_scan(saved(made, tmp_path / "x.nii")).warnings[0]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_are_refused(tmp_path, dtype):
    made = image(VOXELS.astype(dtype))
    with pytest.raises(ReadError, match="complex numbers"):
        read_scan(saved(made, tmp_path / "x.nii"))


def test_transparency_is_left_out(tmp_path):
    rgba = np.zeros(VOXELS.shape, [(c, "u1") for c in "RGBA"])
    rgba["G"], rgba["A"] = VOXELS, 255
    scan = read_scan(saved(image(rgba), tmp_path / "x.nii"))
    assert scan.color
    assert scan.shape == (4, 5, 6, 3)
    np.testing.assert_array_equal(scan.voxels[..., 1], VOXELS)
    assert scan.warnings == ("its transparency channel was left out",)


@pytest.mark.parametrize(
    ("unit", "scale", "warning"),
    [("mm", 1, ""), ("unknown", 1, ""), ("micron", 1e-3, "converted to mm")],
)
def test_units_of_length(tmp_path, unit, scale, warning):
    made = image()
    made.header.set_xyzt_units(unit, "sec")
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    np.testing.assert_allclose(scan.affine[:3], AFFINE[:3] * scale, atol=1e-5)
    assert warning in "".join(scan.warnings)


def test_metres_are_converted_unless_they_cannot_be(tmp_path):
    made = nibabel.Nifti1Image(VOXELS, np.diag([0.002, 0.003, 0.004, 1]))
    made.header.set_xyzt_units("meter")
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    np.testing.assert_allclose(scan.spacing, (2, 3, 4), rtol=1e-6)
    made = nibabel.Nifti1Image(VOXELS, np.diag([2, 3, 4, 1]))
    made.header.set_xyzt_units("meter")
    scan = read_scan(saved(made, tmp_path / "y.nii"))
    np.testing.assert_allclose(scan.spacing, (2, 3, 4))
    assert "cannot be; taken as mm" in scan.warnings[0]


def test_the_time_step_comes_in_milliseconds(tmp_path):
    made = image(np.zeros((4, 5, 6, 3), np.int16))
    made.header.set_xyzt_units("mm", "sec")
    made.header["pixdim"][4] = 2.5
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    assert scan.meta["repetition_time_ms"] == 2500


@pytest.mark.parametrize(
    "fields",
    [
        {"datatype": 9999},
        {"datatype": 0},
        {"datatype": 1},
        {"dim": [0, 4, 5, 6, 1, 1, 1, 1]},
        {"dim": [3, 4, -5, 6, 1, 1, 1, 1]},
        {"dim": [9, 4, 5, 6, 1, 1, 1, 1]},
    ],
)
def test_a_senseless_header_is_an_error(tmp_path, fields):
    path = saved(image(), tmp_path / "x.nii")
    made = image(**fields)
    made.header["vox_offset"] = 352
    made.header["magic"] = b"n+1"
    path.write_bytes(made.header.binaryblock + path.read_bytes()[348:])
    with pytest.raises(ReadError):
        read_scan(path)


def test_surfaces_are_refused_by_their_name():
    with pytest.raises(ReadError, match="CIFTI-2"):
        read_scan(NIBABEL_DATA / "row_major.dconn.nii")


@pytest.mark.parametrize("code", [1, 0, 1234])
def test_voxels_of_no_number_are_refused_by_their_code(tmp_path, code):
    path = saved(image(), tmp_path / "x.nii")
    content = bytearray(path.read_bytes())
    content[70:72] = code.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(ReadError, match=rf"has voxels of .* \(code {code}\)"):
        read_scan(path)


def test_the_slope_of_spm_is_applied_to_analyze(tmp_path):
    made = nibabel.Spm99AnalyzeImage(VOXELS, np.diag([2, 3, 4, 1]))
    made.header["scl_slope"] = 0.5
    content = made.header.binaryblock
    (tmp_path / "x.hdr").write_bytes(content)
    (tmp_path / "x.img").write_bytes(VOXELS.tobytes(order="F"))
    scan = read_scan(tmp_path / "x.hdr")
    np.testing.assert_array_equal(scan.values(), VOXELS / 2)
    assert "left and right cannot be told" in scan.warnings[0]


@given(
    turn=st.tuples(*[st.floats(-1, 1)] * 3),
    sizes=st.tuples(*[st.floats(0.1, 9)] * 3),
    qfac=st.sampled_from([-1.0, 1.0]),
    kind=st.sampled_from([nibabel.Nifti1Header, nibabel.Nifti2Header]),
    order=st.sampled_from("<>"),
)
def test_the_qform_is_that_of_nibabel(turn, sizes, qfac, kind, order):
    made = kind(endianness=order)
    made.set_data_shape((4, 5, 6))
    length = max(1, float(np.linalg.norm(turn)))
    for name, value in zip("bcd", turn, strict=True):
        made[f"quatern_{name}"] = value / length
    made["pixdim"][:4] = (qfac, *sizes)
    made["qoffset_x"], made["qform_code"] = 7, 1
    try:
        expected = made.get_qform()
    except ValueError:  # rounded beyond what nibabel takes
        return
    fields, found_order = header_fields(made.binaryblock)
    assert found_order == order
    header = NiftiHeader(
        *(Path("x"), (), Path("x"), 352, False, (4, 5, 6), np.dtype("i2")),
        *(fields, False, ()),
    )
    np.testing.assert_allclose(place_of(header).affine, expected, atol=2e-5)


def test_a_quaternion_a_little_too_long_and_a_missing_handedness(tmp_path):
    made = image(sform=0, qform=1)
    for name, value in zip("bcd", (0.0, 0.0, 1.0005), strict=True):
        made.header[f"quatern_{name}"] = value
    made.header["pixdim"][:4] = (0, 2, 3, 4)
    scan = read_scan(saved(made, tmp_path / "x.nii"))
    np.testing.assert_allclose(scan.affine[:3, :3], np.diag([-2, -3, 4]), atol=1e-6)


def test_negative_voxel_sizes_count_without_their_sign(tmp_path):
    made = image(sform=0)
    made.header["pixdim"][1:4] = (-2, 3, -4)
    assert read_scan(saved(made, tmp_path / "x.nii")).spacing == (2, 3, 4)


@pytest.mark.parametrize(
    "name",
    [
        "anatomical.nii",
        "example4d.nii.gz",
        "example_nifti2.nii.gz",
        "functional.nii",
        "resampled_anat_moved.nii",
        "standard.nii.gz",
    ],
)
def test_nibabel_reads_the_same(name):
    scan, reference = read_scan(NIBABEL_DATA / name), nibabel.load(NIBABEL_DATA / name)
    np.testing.assert_allclose(scan.affine, reference.affine, atol=1e-6)
    stored = reference.dataobj.get_unscaled()
    assert scan.voxels.dtype == stored.dtype.newbyteorder("=")
    np.testing.assert_array_equal(scan.voxels, stored)
    first = np.asarray(reference.dataobj, np.float32).reshape((*scan.grid_shape, -1))
    np.testing.assert_allclose(scan.values(), first[..., 0], rtol=1e-5)


def test_facts_of_a_sidecar_are_taken_in_our_units(tmp_path):
    facts = {
        "Modality": "MR",
        "EchoTime": 0.00298,
        "RepetitionTime": 2.3,
        "FlipAngle": 9,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "SeriesDescription": "t1_mprage",
        "SeriesInstanceUID": "1.2.3",
        "PatientName": "Doe^Jane",
        "MagneticFieldStrength": True,
    }
    (tmp_path / "x.json").write_text(json.dumps(facts))
    scan = read_scan(saved(image(), tmp_path / "x.nii.gz"))
    assert scan.modality == "MR"
    assert scan.series == "1.2.3"
    assert scan.meta["echo_time_ms"] == 2.98
    assert scan.meta["repetition_time_ms"] == 2300
    assert scan.meta["image_type"] == ("ORIGINAL", "PRIMARY")
    assert "magnetic_field_strength_t" not in scan.meta
    assert "Doe" not in repr(dict(scan.meta))


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"EchoTime": NaN}'])
def test_a_damaged_sidecar_is_no_reason_to_refuse_the_image(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    scan = read_scan(saved(image(), tmp_path / "x.nii"))
    assert "echo_time_ms" not in scan.meta


@pytest.mark.parametrize("name", ["anatomical.nii", "example4d.nii.gz"])
def test_the_outline_tells_the_same_without_voxels(name):
    (outline,) = outline_scans(NIBABEL_DATA / name)
    whole = outline_of(read_scan(NIBABEL_DATA / name))
    for field in dataclasses.fields(outline):
        told, read = getattr(outline, field.name), getattr(whole, field.name)
        assert np.array_equal(told, read) if field.name == "affine" else told == read


def test_the_outline_of_colours_counts_their_axis(tmp_path):
    rgb = np.zeros(VOXELS.shape, [(c, "u1") for c in "RGB"])
    (outline,) = outline_scans(saved(image(rgb), tmp_path / "x.nii"))
    assert outline.shape == read_scan(tmp_path / "x.nii").shape
    (tmp_path / "x.nii").write_bytes((tmp_path / "x.nii").read_bytes()[:-9])
    with pytest.raises(ReadError, match="cut short"):
        outline_scans(tmp_path / "x.nii")
