"""Class activation maps: features of one layer, weighted by how the score needs them.

A network that ends in average pooling and one linear layer has the same gradient in
every cell of its last feature map: the linear layer's weights divided by the number of
cells. Grad-CAM of that map is then a weighted sum of features that the prediction
computed anyway: no backward pass, no second forward pass.

Features are ``(N, F, *cells)``: N = 1 of a 3D network, one row a slice of a 2D one.
Gradients of the score have the same shape, or 1 for each axis of the cells. Maps are
``(N, *cells)``, float32, and signed: above 0 speaks for the label, below 0 against it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_TINY = 1e-30


def gradcam(features: Array, gradients: Array) -> Array:
    """Return Grad-CAM (Selvaraju et al., ICCV 2017), without its ReLU.

    Each channel is weighted by its mean gradient.
    """
    space = tuple(range(2, features.ndim))
    return hirescam(features, gradients.mean(axis=space, keepdims=True))


def hirescam(features: Array, gradients: Array) -> Array:
    """Return HiResCAM (Draelos and Carin, 2020), without its ReLU.

    Gradient × activation of each cell. Where the rest of the network is linear, all
    values add up to the score without its biases.
    """
    product: Array = np.einsum(
        "nf...,nf...->n...", gradients, features, dtype=np.float32
    )
    return product


def gradcam_plus(features: Array, gradients: Array) -> Array:
    """Return Grad-CAM++ (Chattopadhay et al., WACV 2018), with a sign.

    The paper weights a channel by its positive gradients only, so that evidence against
    the label never shows, and cells where it prevails still glow. Here what the same
    formula gives for the score with its sign turned is taken off.
    """
    return _plus(features, gradients) - _plus(features, -gradients)


def _plus(features: Array, gradients: Array) -> Array:
    space = tuple(range(2, features.ndim))
    total = features.sum(axis=space, keepdims=True)
    power = np.square(gradients, dtype=np.float64)
    below = 2 * power + total * power * gradients
    # The paper leaves the other case open; without this, alpha has poles there.
    alpha = np.where(below > 0, power / np.maximum(below, _TINY), 0)
    weights = alpha * np.maximum(gradients, 0)
    full = np.broadcast_to(weights, features.shape)
    summed = full.sum(axis=space, keepdims=True).astype(np.float32)
    return hirescam(features, summed)
