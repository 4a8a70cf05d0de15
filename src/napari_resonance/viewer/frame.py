"""The viewer frame: napari's world, laid along the axes of the scan that is looked at.

napari shows a slice of a rotated layer without the out-of-plane part of the rotation,
so two layers of different obliquity do not match in 2D. The frame therefore turns with
the selected scan: z, y and x of napari's world are that scan's own axes, ordered and
flipped so that they increase towards inferior, posterior and left, in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_resonance.geometry import FloatArray, letters_towards, reorient

# Axes whose direction cosines differ by less count as parallel: a quarter of a
# millimetre at the edge of a 250 mm volume, far above the rounding of any file format.
PARALLEL_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class ViewerFrame:
    """An orthonormal frame that napari's (z, y, x) stand for.

    Parameters
    ----------
    axes
        3×3, its rows the RAS+ directions of z, y and x.
    oriented
        False for a scan whose directions in the patient are not known.

    """

    axes: FloatArray
    oriented: bool = True

    @classmethod
    def of(cls, affine: ArrayLike, *, oriented: bool = True) -> ViewerFrame:
        """Return the frame along the axes of layer data.

        Parameters
        ----------
        affine
            4×4, index (z, y, x) of the data to RAS+ mm; its axes at right angles.
        oriented
            Whether these are directions in the patient.

        """
        directions = _directions(affine)
        # The nearest orthonormal matrix takes out what rounding left of a shear.
        u, _, vt = np.linalg.svd(directions)
        return cls((u @ vt).T, oriented)

    @property
    def from_ras(self) -> FloatArray:
        """4×4, RAS+ mm to the frame's (z, y, x) in mm; the origin stays."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes
        return matrix

    @property
    def to_ras(self) -> FloatArray:
        """4×4, the frame's (z, y, x) in mm to RAS+ mm."""
        return self.from_ras.T

    def is_parallel(self, affine: ArrayLike, *, oriented: bool = True) -> bool:
        """Tell whether data axes (z, y, x) run along the frame's z, y and x."""
        if oriented != self.oriented:
            return False
        cosines = np.abs(self.axes @ _directions(affine))
        return bool(np.abs(cosines - np.eye(3)).max() < PARALLEL_TOLERANCE)

    def express(self, affine: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
        """Return the affine from data index (z, y, x) to this frame's mm.

        For data parallel to the frame the result is exactly diagonal, because napari
        takes the smallest rest of a rotation for one; the centre of the data stays.
        """
        expressed: FloatArray = self.from_ras @ np.asarray(affine, np.float64)
        if not self.is_parallel(affine, oriented=self.oriented):
            return expressed
        center = (np.array(shape[:3]) - 1) / 2
        there = expressed[:3, :3] @ center + expressed[:3, 3]
        steps = np.linalg.norm(expressed[:3, :3], axis=0)
        signed = steps * np.sign(np.diag(expressed[:3, :3]))
        snapped = np.eye(4)
        snapped[:3, :3] = np.diag(signed)
        snapped[:3, 3] = there - signed * center
        return snapped

    def upright(
        self, array: NDArray[Any], affine: ArrayLike
    ) -> tuple[NDArray[Any], FloatArray]:
        """Flip and permute an array ``(i, j, k, ...)`` until it grows with the frame.

        Returns
        -------
        array
            A view whose first three axes are x, y and z.
        affine
            Its 4×4 affine, index (x, y, z) to RAS+ mm.

        """
        # The code "RAS" means "towards the positive side of the three world axes";
        # here these are the frame's x, y and z in the place of the patient's.
        to_frame = np.eye(4)
        to_frame[:3, :3] = self.axes[::-1]
        view, expressed = reorient(array, to_frame @ np.asarray(affine), "RAS")
        return view, np.linalg.inv(to_frame) @ expressed

    def ends_of(self, axis: int) -> tuple[str, str] | None:
        """Return the body directions at the start and the end of z, y or x (0, 1, 2).

        For an oblique frame they have two or three letters, the closest first. None
        where the directions are not known.
        """
        if not self.oriented:
            return None
        return letters_towards(-self.axes[axis]), letters_towards(self.axes[axis])


def frame_of_scan(affine: FloatArray, *, oriented: bool) -> ViewerFrame:
    """Return the frame of a scan from its own affine, index (i, j, k) to RAS+ mm.

    Towards inferior, posterior and left where the scan is oriented; along k, j and i
    as stored where it is not. The axes must be at right angles.
    """
    if oriented:
        _, affine = reorient(np.zeros((1, 1, 1), np.uint8), affine, "LPI")
    return ViewerFrame.of(reversed_axes(affine), oriented=oriented)


def reversed_axes(affine: ArrayLike) -> FloatArray:
    """Return an affine for the transposed array: its index axes in reverse order."""
    matrix = np.array(affine, np.float64)
    matrix[:3, :3] = matrix[:3, 2::-1]
    return matrix


def embedded(affine: FloatArray, ndim: int) -> FloatArray:
    """Return a 4×4 affine as one of `ndim` + 1 whose last three axes it governs."""
    matrix = np.eye(ndim + 1)
    matrix[-4:, -4:] = affine
    return matrix


def _directions(affine: ArrayLike) -> FloatArray:
    linear = np.asarray(affine, np.float64)[:3, :3]
    directions: FloatArray = linear / np.linalg.norm(linear, axis=0)
    return directions
