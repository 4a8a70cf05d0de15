"""NIfTI images with header fields of our choice, and where nibabel keeps its own."""

import gzip
from pathlib import Path

import nibabel
import numpy as np

NIBABEL_DATA = Path(nibabel.__file__).parent / "tests" / "data"
AFFINE = np.array(
    [[-2.0, 0.1, 0, 30], [0.2, 1.5, 0, -20], [0, 0, 3.0, 10], [0, 0, 0, 1]]
)
VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


def image(voxels=VOXELS, *, sform=1, qform=0, kind=nibabel.Nifti1Image, **fields):
    """Return an image with codes and raw header fields set."""
    made = kind(voxels, AFFINE)
    made.header.set_sform(AFFINE, sform)
    made.header.set_qform(AFFINE if qform else None, qform, strip_shears=True)
    for name, value in fields.items():
        made.header[name] = value
    return made


def saved(made, path):
    """Save header fields as they are: nibabel would mend them on its way."""
    header = made.header.copy()
    header["magic"] = b"n+1" if header["sizeof_hdr"] == 348 else header["magic"]
    header["vox_offset"] = 352 if header["sizeof_hdr"] == 348 else 544
    voxels = np.asarray(made.dataobj).astype(header.get_data_dtype())
    pad = bytes(int(header["vox_offset"]) - len(header.binaryblock))
    content = header.binaryblock + pad + voxels.tobytes(order="F")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path
