"""Header and voxels in two files: which belong together."""

from __future__ import annotations

from pathlib import Path

_HEADERS, _IMAGES = (".hdr", ".hdr.gz"), (".img", ".img.gz")


def pair_of(path: Path) -> tuple[Path | None, Path | None]:
    """Return the header and the voxel file of the pair that `path` belongs to.

    Both are None where its name is not one of a pair, the partner is None where it is
    missing. Either file may be compressed, and its ending in capitals.
    """
    name = path.name.lower()
    for endings, others in ((_HEADERS, _IMAGES), (_IMAGES, _HEADERS)):
        packed = name.endswith(endings[1])
        if packed or name.endswith(endings[0]):
            stem = path.name[: -len(endings[packed])]
            # A partner that is compressed likewise comes first.
            ordered = others[::-1] if packed else others
            names = [stem + e for o in ordered for e in (o, o.upper())]
            there = (p for p in map(path.with_name, names) if p.is_file())
            partner = next(there, None)
            return (path, partner) if endings is _HEADERS else (partner, path)
    return None, None
