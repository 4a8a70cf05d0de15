"""A recipe as one MONAI transform, for bundles whose steps MONAI does not have."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from napari_resonance.preprocessing.recipe import Recipe


class RecipeTransformd(MapTransform):
    """Prepare scans as a recipe says.

    Parameters
    ----------
    keys
        Entries of the dictionary that hold a `Scan`, or a list of them where the
        recipe takes several.
    recipe
        As `Recipe.to_json` returns it.
    center_key
        Entry that holds the centre of a region, in RAS+ mm; None where the recipe looks
        at whole scans.

    """

    def __init__(
        self,
        keys: Hashable | Sequence[Hashable],
        recipe: Any,
        center_key: str | None = None,
    ) -> None:
        super().__init__(keys)
        self.recipe = Recipe.from_json(recipe)
        self.center_key = center_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each entry by a ``MetaTensor``.

        ``(C, X, Y, Z)`` with its affine for a 3D recipe, ``(slices, C, row, column)``
        for a 2D one.
        """
        result = dict(data)
        center = None if self.center_key is None else result[self.center_key]
        for key in self.key_iterator(result):
            prepared = self.recipe.apply(result[key], center)
            array = prepared.array
            volume = array[0] if self.recipe.dimensions == 3 else array
            affine = torch.from_numpy(prepared.grid.affine.copy())
            result[key] = MetaTensor(torch.from_numpy(volume), affine=affine)
        return result
