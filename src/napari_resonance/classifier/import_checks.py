"""What must be known of weights from elsewhere before they are a classifier.

Every function raises ``ModelError`` where it is not; the remedy names the options.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_resonance.classifier.activations import ACTIVATIONS
from napari_resonance.classifier.pretrained import Loaded, LoadReport
from napari_resonance.errors import ModelError

if TYPE_CHECKING:
    from os import PathLike


def check_whole(
    report: LoadReport, source: str | PathLike[str], *, defined: bool
) -> None:
    """Refuse what is no whole classifier, or more than one.

    `defined` tells that the whole network was defined: nothing else belongs to it.
    """
    if report.missing:
        first, why = next(iter(report.missing.items()))
        raise ModelError(
            f"the weights are not a whole classifier: {first!r} is missing ({why})"
            f"{_beside_it(report)}",
            source=source,
            remedy=_without_head(report),
        )
    if report.layers and not defined:
        raise ModelError(
            "the file holds layers that are no part of the network, which may answer "
            f"otherwise without them: {_few(report.layers)}",
            source=source,
            remedy="Save the classifier alone, or, if they take no part in its "
            "answers, define it with --network FILE",
        )


def _beside_it(report: LoadReport) -> str:
    if not report.layers:
        return ""
    return f", and it is not known what these are for: {_few(report.layers)}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _without_head(report: LoadReport) -> str:
    """Return what can be done with weights of which no last layer is known."""
    matches = [re.fullmatch(r"((?:.*\.)?)\d+\.\w+", name) for name in report.layers]
    stacks = {match[1] for match in matches if match}
    begin = f"resonance finetune LABELS --pretrained {report.source}"
    if len(stacks) == 1 and all(matches) and len(matches) > 1:
        return (
            "If its head is linear layers with an activation between them, name it: "
            f"--between relu (or {', '.join(ACTIVATIONS[1:])}); if there is nothing "
            "but dropout and batch normalisation, --between none. Others are not known "
            f"here; to train a new one: {begin}"
        )
    return (
        f"Give a file that has the last layer, 'fc', too, or train a new one: {begin}"
    )


def check_known(
    loaded: Loaded,
    labels: Sequence[str],
    source: str | PathLike[str],
    *,
    has_recipe: bool,
) -> None:
    """Ask for all that weights do not tell, by the names of the options."""
    outputs = loaded.definition.get("num_classes", 400)  # MONAI's default
    unknown = {}
    if outputs == 1:
        what = "what its one output means"
        unknown[what] = (
            "--labels NEGATIVE,POSITIVE if its sigmoid is the probability of the second"
        )
    elif len(labels) != outputs:
        what = f"what its {outputs} outputs mean"
        unknown[what] = f"--labels with {outputs} names, separated by commas"
    if not has_recipe:
        unknown["how scans are prepared"] = "--recipe with a file or a classifier"
    if "conv1_t_stride" in loaded.report.assumed:
        what = "the stride of its first convolution"
        unknown[what] = "--stride 2 (torchvision, timm) or 1 (MONAI), or --network"
        if loaded.definition["spatial_dims"] == 3:
            unknown["its dilations"] = "--like medicalnet-18 if it began from that"
    if unknown:
        raise ModelError(
            f"the weights do not tell {' or '.join(unknown)}",
            source=source,
            remedy=f"Give {'; '.join(unknown.values())}",
        )
