"""The small real scans that come with the package."""

from __future__ import annotations

from pathlib import Path

from napari_resonance.errors import ResonanceError

_SAMPLES = {"icbm-t1": "icbm_t1.nii.gz", "oblique-pd": "oblique_pd", "ct": "ct"}


def sample_path(name: str | None = None) -> Path:
    """Return the folder of the sample scans, or one scan in it.

    Parameters
    ----------
    name
        ``"icbm-t1"`` (the ICBM 2009a T1-weighted average brain, NIfTI),
        ``"oblique-pd"`` (an oblique proton-density series of a head, DICOM),
        ``"ct"`` (one CT slice, DICOM), or None for the folder. Its ``SOURCES.md`` names
        source and licence of each.

    Returns
    -------
    Path
        An existing file or folder for `read_scan`.

    Raises
    ------
    ResonanceError
        If there is no sample of that name, or the installation lacks the samples.

    """
    if name is None:
        return _folder()
    if name not in _SAMPLES:
        raise ResonanceError(
            f"there is no sample called {name!r}",
            remedy=f"Choose one of: {', '.join(_SAMPLES)}",
        )
    return _folder() / _SAMPLES[name]


def _folder() -> Path:
    package = Path(__file__).resolve().parent
    # A wheel carries the folder inside the package; an editable installation sees the
    # repository, where it lies beside src.
    for folder in (package / "sample_data", package.parents[1] / "sample_data"):
        if folder.is_dir():
            return folder
    raise ResonanceError(
        "the sample scans are missing from this installation",
        source=package,
        remedy="Install napari-resonance again",
    )
