"""The saliency methods that are offered, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One way to say where a network looked.

    All of them work in 2D and in 3D, for one label or for one rather than another.

    Parameters
    ----------
    name
        As options and files call it.
    about
        What a value of the map means, in one line.
    needs_gradients
        Whether torch has to run the network, forth and back; otherwise the engine that
        predicts is enough.
    takes_layer
        Whether a layer other than the last feature map can be asked for.
    takes_baseline
        Whether the scan is compared with a baseline.
    takes_window
        Whether it covers windows of the scan.

    """

    name: str
    about: str
    needs_gradients: bool = False
    takes_layer: bool = False
    takes_baseline: bool = False
    takes_window: bool = False


_ALL = (
    Method(
        "gradcam",
        "evidence of a cell of the feature map: the last map's cells add up to the "
        "logit without its bias",
        takes_layer=True,
    ),
    Method(
        "gradcam++",
        "as Grad-CAM, with channels that answer to few cells raised",
        takes_layer=True,
    ),
    Method(
        "hirescam",
        "gradient × activation cell by cell; at the last feature map the same as "
        "Grad-CAM",
        takes_layer=True,
    ),
    Method(
        "fused-cam",
        "geometric mean of the HiResCAM of three stages, where their signs agree",
        needs_gradients=True,
    ),
    Method(
        "occlusion",
        "what goes of the logit where a window of the scan is covered, mean of the "
        "windows over a cell",
        takes_baseline=True,
        takes_window=True,
    ),
    Method(
        "integrated-gradients",
        "a voxel's share in the logit's rise from the baseline to the scan; the voxels "
        "add up to it",
        needs_gradients=True,
        takes_baseline=True,
    ),
    Method(
        "smoothgrad",
        "as gradient × input, with the mean gradient of noisy copies",
        needs_gradients=True,
        takes_baseline=True,
    ),
    Method(
        "gradient-x-input",
        "what a voxel's difference from the baseline adds to the logit, were the "
        "network linear",
        needs_gradients=True,
        takes_baseline=True,
    ),
)

METHODS: Mapping[str, Method] = {method.name: method for method in _ALL}
"""The saliency methods by name."""
