"""Our reader as a MONAI transform, for bundles that MONAI runs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import MapTransform

from napari_resonance.reading import read_scan


class ReadScand(MapTransform):
    """Read the one scan of each path, whatever its format; of a list, one each."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each path by its `Scan`.

        Raises
        ------
        ReadError
            If there is not exactly one scan.

        """
        result = dict(data)
        for key in self.key_iterator(result):
            paths = result[key]
            several = isinstance(paths, list)
            result[key] = [read_scan(p) for p in paths] if several else read_scan(paths)
        return result
