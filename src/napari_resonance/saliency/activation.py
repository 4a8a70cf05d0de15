"""Class activation maps of the last feature map, or of any layer with a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from napari_resonance.errors import SaliencyError
from napari_resonance.saliency import cam
from napari_resonance.saliency.cells import as_volume, cell_affine
from napari_resonance.saliency.question import Array, Evidence, Question

_CAMS: Mapping[str, Callable[[Array, Array], Array]] = {
    "gradcam": cam.gradcam,
    "gradcam++": cam.gradcam_plus,
    "hirescam": cam.hirescam,
}


def class_activation(question: Question) -> Evidence:
    """Return the class activation map that a question asks for.

    Of the last feature map it is made of what the prediction computed; other layers
    need the network in torch, forth and back.
    """
    if question.options.layer is not None:
        from napari_resonance.saliency.layers import layer_evidence

        return layer_evidence(question, _CAMS[question.method.name])
    features = question.answer.features
    check_cells(features.shape[2:], "the last one")
    maps = _CAMS[question.method.name](features, last_gradients(question))
    volume = as_volume(maps)
    affine = cell_affine(
        question.grid, question.stride, volume.shape, question.mirror_axes
    )
    return volume, affine


def last_gradients(question: Question) -> Array:
    """Return the gradient of the score in the last feature map, ``(N, F, 1, ...)``.

    The network pools by the mean, so it is the same in every cell.
    """
    answer = question.answer
    features = answer.features
    heads = question.classifier.heads
    cells = np.float32(features.size / features.shape[1])
    gradients = heads.gradients(answer.pooled_by_image, question.score) / cells
    return gradients.reshape(*features.shape[:2], *[1] * (features.ndim - 2))


def check_cells(cells: tuple[int, ...], layer: str, earlier: str = "") -> None:
    """Refuse a feature map that has one cell, for it says nothing of a place.

    Raises
    ------
    SaliencyError
        Naming earlier layers, if there are any with more cells.

    """
    if max(cells) > 1:
        return
    offer = earlier or "'layer3', 'layer2' or 'layer1'"
    raise SaliencyError(
        f"the feature map of the layer ({layer}) is a single cell: what the network "
        "sees is too small for a map of it",
        remedy=f"Choose an earlier layer ({offer}), or a method that looks at voxels",
    )
