"""What weights hide of a network that began from a pretrained one: its strides."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from napari_resonance.classifier.catalogue import CATALOGUE, pretrained_entry
from napari_resonance.classifier.definition import stages
from napari_resonance.errors import ModelError

_HIDDEN = ("conv1_t_stride", "dilations")


def settings_of(name: str) -> dict[str, Any]:
    """Return strides, pooling and dilations of a pretrained network.

    Parameters
    ----------
    name
        Of the pretrained network, from the catalogue.

    Raises
    ------
    ModelError
        If there is none of this name.

    """
    settings = pretrained_entry(name).settings
    return {"no_max_pool": False} | {k: settings[k] for k in _HIDDEN if k in settings}


def settings_like(
    name: str, definition: Mapping[str, Any], source: str | PathLike[str]
) -> dict[str, Any]:
    """Return what a network hides that began from a pretrained one.

    Parameters
    ----------
    name
        Of the pretrained network, from the catalogue.
    definition
        Of the network, as far as its weights tell.
    source
        Named in errors.

    Raises
    ------
    ModelError
        If there is none of this name, or the network cannot have begun from it: it has
        other stages, or fewer dimensions.

    """
    entry = pretrained_entry(name)
    block, layers = stages(entry.depth)
    dimensions = definition.get("spatial_dims", 3)
    own = definition.get("block"), tuple(definition.get("layers") or ())
    # Images may have become volumes by inflation, never the reverse.
    if own == (block, layers) and entry.dimensions <= dimensions:
        return settings_of(name)
    near = [
        other.name
        for other in CATALOGUE.values()
        if stages(other.depth) == own and other.dimensions <= dimensions
    ]
    raise ModelError(
        f"the weights cannot have begun from {name}, a ResNet-{entry.depth} in "
        f"{entry.dimensions}D: they are of a {dimensions}D network of {own[0]} blocks, "
        f"{own[1]} in its stages",
        source=source,
        remedy=f"--like one of {', '.join(near)}" if near else "Leave --like away",
    )
