"""Scan: valid once made, read-only, never copied, equal only in every field."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.phantoms import (
    BRIGHT,
    BRIGHT_VALUE,
    N_TIMES,
    NAMES,
    SHAPE,
    SPACING,
    brightest_mm,
    color_phantom,
    phantom,
    time_phantom,
    write_nifti,
)

from napari_resonance.errors import GeometryError
from napari_resonance.scan import Scan


def make(**changes: Any) -> Scan:
    values: dict[str, Any] = {
        "voxels": np.arange(24, dtype=np.int16).reshape(2, 3, 4),
        "affine": np.diag([1.0, 2.0, 3.0, 1.0]),
        "modality": "MR",
        "study": "1.2",
        "series": "1.2.3",
        "sources": (Path("a.dcm"),),
        "meta": {"echo_time_ms": 20.0, "window": (40.0, 400.0)},
        "warnings": ("odd",),
    }
    return Scan(**values | changes)


# --- what it derives -----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_phantoms_are_what_they_say(name: str) -> None:
    scan, mm = phantom(name)
    assert scan.shape == scan.grid_shape == SHAPE
    assert scan.stored()[BRIGHT] == BRIGHT_VALUE
    assert np.allclose(brightest_mm(scan), mm)
    assert scan.voxels.T.flags.c_contiguous
    assert scan.spacing[:2] == pytest.approx(SPACING[:2])


def test_orientation_is_none_where_the_file_gives_none() -> None:
    assert make().orientation == "RAS"
    assert make(oriented=False).orientation is None


def test_times_and_colours_are_told_apart() -> None:
    assert phantom()[0].n_times == 1
    assert time_phantom()[0].n_times == N_TIMES
    color = color_phantom()[0]
    assert (color.n_times, color.shape, color.grid_shape) == (1, (*SHAPE, 3), SHAPE)
    assert color.voxels.transpose(2, 1, 0, 3).flags.c_contiguous


def test_repr_is_one_line_without_identifiers() -> None:
    text = repr(make(study="secret", series="secret", sources=("/home/secret",)))
    assert text == "Scan(MR, 2×3×4, 1×2×3 mm, RAS)"
    unknown = make(modality="", oriented=False)
    assert repr(unknown) == "Scan(unknown modality, 2×3×4, 1×2×3 mm, unoriented)"


# --- voxels --------------------------------------------------------------------------


def test_voxels_are_a_read_only_view_and_never_a_copy() -> None:
    voxels = np.zeros((2, 3, 4), np.int16)
    scan = make(voxels=voxels)
    assert np.shares_memory(scan.voxels, voxels)
    with pytest.raises(ValueError, match="read-only"):
        scan.voxels[0, 0, 0] = 1
    voxels[0, 0, 0] = 7  # the caller's own array stays writable
    assert scan.stored()[0, 0, 0] == 7


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "f4", "f8", "i4"])
def test_stored_voxels_keep_their_type(dtype: str) -> None:
    scan = make(voxels=np.ones((2, 3, 4), dtype))
    assert scan.stored().dtype == np.dtype(dtype)
    assert scan.values().dtype == np.float32


def test_a_memmap_stays_one(tmp_path: Path) -> None:
    path = write_nifti(phantom()[0], tmp_path / "a.nii")
    voxels = np.memmap(path, np.int16, "r", 352, SHAPE, "F")
    scan = make(voxels=voxels)
    assert isinstance(scan.voxels, np.memmap)
    assert not scan.is_lazy
    assert np.array_equal(scan.stored(), phantom()[0].stored())


def test_a_dask_array_stays_lazy() -> None:
    dask_array = pytest.importorskip("dask.array", reason="dask is not installed")
    voxels = dask_array.from_array(np.arange(24).reshape(2, 3, 4))
    scan = make(voxels=voxels)
    assert scan.is_lazy
    assert scan.voxels is voxels
    assert scan.values()[1, 2, 3] == 23
    assert np.array_equal(scan.slice(1), scan.values()[:, :, 1])
    assert scan.same_as(make(voxels=np.arange(24).reshape(2, 3, 4)))


def test_physical_values_are_slope_times_stored_plus_intercept() -> None:
    scan = make(slope=2, intercept=-1000)
    expected = 2.0 * np.arange(24).reshape(2, 3, 4) - 1000
    assert np.array_equal(scan.values(), expected)
    assert np.array_equal(scan.slice(3), expected[:, :, 3])


def test_values_do_not_wrap_around_in_the_stored_type() -> None:
    scan = make(voxels=np.full((1, 1, 1), 250, np.uint8), slope=2, intercept=100)
    assert scan.values()[0, 0, 0] == 600


def test_one_volume_of_a_time_series() -> None:
    scan, _ = time_phantom()
    for t in range(N_TIMES):
        assert scan.stored(t)[BRIGHT] == BRIGHT_VALUE * (t + 1)
        assert np.array_equal(scan.slice(4, t), scan.values(t)[:, :, 4])


# --- what it refuses -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"voxels": np.zeros((2, 3))}, "3 or 4 axes"),
        ({"voxels": np.zeros((2, 3, 4, 5, 6))}, "3 or 4 axes"),
        ({"voxels": np.zeros((2, 3, 4)), "color": True}, "3 or 4 axes"),
        ({"voxels": np.zeros((2, 3, 4, 4)), "color": True}, "3 channels"),
        ({"voxels": np.zeros((2, 0, 4))}, "hold nothing"),
        ({"affine": np.eye(3)}, "4×4"),
        ({"affine": np.full((4, 4), np.nan)}, "NaN"),
        ({"affine": np.zeros((4, 4))}, "last row"),
        ({"affine": np.diag([1.0, 1, 0, 1])}, "singular"),
    ],
)
def test_what_no_scan_can_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        make(**changes)


def test_nothing_in_it_can_be_changed() -> None:
    scan = make()
    with pytest.raises(FrozenInstanceError):
        scan.modality = "CT"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        scan.affine[0, 0] = 5
    with pytest.raises(TypeError, match="item assignment"):
        scan.meta["echo_time_ms"] = 1  # type: ignore[index]


def test_what_was_passed_in_can_change_without_changing_it() -> None:
    affine, meta = np.eye(4), {"a": 1}
    scan = make(affine=affine, meta=meta)
    affine[0, 3], meta["a"] = 99, 2
    assert scan.affine[0, 3] == 0
    assert scan.meta["a"] == 1


# --- equality ------------------------------------------------------------------------

OTHER: dict[str, Any] = {
    "voxels": np.ones((2, 3, 4), np.int16),
    "affine": np.diag([1.0, 2.0, 3.01, 1.0]),
    "modality": "CT",
    "slope": 2.0,
    "intercept": 1.0,
    "color": True,
    "oriented": False,
    "study": "9",
    "series": "9",
    "sources": (Path("b.dcm"),),
    "meta": {"echo_time_ms": 20.0},
    "warnings": (),
}


def test_every_field_is_tried() -> None:
    assert OTHER.keys() == {f.name for f in fields(Scan)}


@pytest.mark.parametrize("name", OTHER)
def test_same_as_notices_one_changed_field(name: str) -> None:
    voxels = np.zeros((2, 3, 4, 3), np.uint8)
    one = make(voxels=voxels) if name == "color" else make()
    other = replace(one, **{name: OTHER[name]})
    assert one.same_as(one)
    assert one.same_as(replace(one))
    assert not one.same_as(other)
    assert not other.same_as(one)


@pytest.mark.parametrize(
    "voxels",
    [
        np.arange(24, dtype=np.int32).reshape(2, 3, 4),
        np.arange(24, dtype=np.int16).reshape(2, 4, 3),
        np.arange(24, dtype=np.int16).reshape(2, 3, 4, 1),
    ],
)
def test_same_as_notices_type_and_shape_of_voxels(voxels: Any) -> None:
    assert not make().same_as(make(voxels=voxels))


def test_same_as_looks_into_meta() -> None:
    one = make(meta={"times": np.array([1.0, 2.0])})
    assert one.same_as(make(meta={"times": np.array([1.0, 2.0])}))
    assert not one.same_as(make(meta={"times": np.array([1.0, 3.0])}))
    assert not one.same_as(make(meta={"other": np.array([1.0, 2.0])}))


def test_same_as_takes_nan_voxels_and_small_affine_noise() -> None:
    voxels = np.full((2, 3, 4), np.nan, np.float32)
    assert make(voxels=voxels).same_as(make(voxels=voxels.copy()))
    moved = make().affine + np.array([[0, 0, 0, 5e-5]] * 3 + [[0, 0, 0, 0]])
    assert make().same_as(make(affine=moved))
    assert not make().same_as(make(affine=moved), tolerance_mm=1e-6)


def test_slope_given_as_an_integer_makes_no_difference() -> None:
    assert make(slope=2).same_as(make(slope=np.float32(2)))


@pytest.mark.parametrize("kind", [phantom, time_phantom, color_phantom])
def test_scans_survive_pickling_and_copying(
    kind: Callable[[], tuple[Any, Any]],
) -> None:
    scan = replace(kind()[0], meta={"echo_time_ms": 20.0}, sources=("a.dcm",))
    assert pickle.loads(pickle.dumps(scan)).same_as(scan)
    assert copy.deepcopy(scan).same_as(scan)
    assert np.shares_memory(copy.copy(scan).voxels, scan.voxels)
