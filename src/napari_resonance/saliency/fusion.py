"""One map of several stages: as fine as the second, where all of them agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_resonance.errors import SaliencyError
from napari_resonance.geometry import Grid, resample
from napari_resonance.saliency.cam import hirescam
from napari_resonance.saliency.question import Evidence, Question

STAGES = ("layer2", "layer3", "layer4")


def fused(question: Question) -> Evidence:
    """Return the geometric mean of the HiResCAM of three stages, where signs agree.

    Stages are fused as by Jiang et al. (LayerCAM, IEEE TIP 2021), but through affines,
    by millimetres, and with a sign: a place that one stage counts for the label and
    another against it is 0. Each map is spread over the finest cells before, so that
    the evidence of a cubic millimetre is compared.
    """
    from napari_resonance.saliency.layers import layer_evidence

    options, maps = question.options, []
    # Refused here, for no other layer can be chosen.
    if max(question.answer.features.shape[2:]) == 1:
        raise SaliencyError(
            "the last feature map is a single cell: what the network sees is too small "
            "for a map of three stages",
            remedy="Use Grad-CAM of an earlier layer, or a method that looks at voxels",
        )
    for stage in STAGES:
        question.options = replace(options, layer=stage)
        maps.append(layer_evidence(question, hirescam))
    question.options = options
    values, affine = maps[0]
    x, y, z = values.shape
    grid = Grid((x, y, z), affine)
    size = abs(np.linalg.det(affine))
    spread = [values.astype(np.float64)]
    for coarse, place in maps[1:]:
        share = size / abs(np.linalg.det(place))
        spread.append(share * resample(coarse, place, grid, antialias=False))
    stack = np.stack(spread)
    agree = np.abs(np.sign(stack).sum(axis=0)) == len(stack)
    mean = np.sign(stack[0]) * np.abs(stack).prod(axis=0) ** (1 / len(stack))
    return np.where(agree, mean, 0).astype(np.float32), affine
