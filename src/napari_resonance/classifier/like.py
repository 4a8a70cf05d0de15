"""What weights hide of a network that began from a pretrained one: its strides."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from napari_resonance.classifier.catalogue import (
    CATALOGUE,
    Pretrained,
    pretrained_entry,
)
from napari_resonance.classifier.definition import stages
from napari_resonance.errors import ModelError

_HIDDEN = ("conv1_t_stride", "no_max_pool", "dilations")


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
    if _may_have_begun(entry, definition):
        return settings_of(name)
    near = [n for n, other in CATALOGUE.items() if _may_have_begun(other, definition)]
    dimensions, widths = definition.get("spatial_dims", 3), definition["block_inplanes"]
    raise ModelError(
        f"the weights cannot have begun from {name}, a ResNet-{entry.depth} in "
        f"{entry.dimensions}D of widths {entry.widths[0]} to {entry.widths[-1]}: they "
        f"are of a {dimensions}D network of {definition['block']} blocks, "
        f"{tuple(definition['layers'])} in its stages, of widths {widths[0]} to "
        f"{widths[-1]}",
        source=source,
        remedy=f"--like one of {', '.join(near)}" if near else "Leave --like away",
    )


def _may_have_begun(entry: Pretrained, definition: Mapping[str, Any]) -> bool:
    # Images may have become volumes by inflation, never the reverse.
    own = definition["block"], tuple(definition["layers"])
    widths = tuple(definition["block_inplanes"])
    return (
        stages(entry.depth) == own
        # Narrower copies of the large networks are common, of the small ones unknown.
        and (not entry.is_synthetic or entry.widths == widths)
        and entry.dimensions <= definition.get("spatial_dims", 3)
    )
