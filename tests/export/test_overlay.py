"""Colours of evidence for and against."""

from __future__ import annotations

import numpy as np
import pytest

from napari_resonance.export.overlay import Overlay, evidence_colors

# Machado, Oliveira and Fernandes, 2009: linear RGB as seen with each full deficiency.
SEEN = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("deficiency", SEEN)
def test_for_and_against_differ_with_every_colour_blindness(deficiency: str):
    strength = np.linspace(0.3, 1, 8)
    seen = [
        np.clip(
            evidence_colors(part, "both") ** 2.2 @ np.transpose(SEEN[deficiency]), 0, 1
        )
        ** (1 / 2.2)
        for part in (strength, -strength)
    ]
    assert np.linalg.norm(seen[0] - seen[1], axis=-1).min() > 0.3


def test_the_limits_of_both_signs_are_symmetric():
    overlay = Overlay(2.0, "both")
    assert (overlay.bottom, overlay.top) == (-2.0, 2.0)
    values = np.array([-2.0, -1.0, 0.0, 1.0, 2.0], np.float32)
    _, opacity = overlay.colors(values)
    np.testing.assert_allclose(opacity[:, 0], [0.6, 0.3, 0, 0.3, 0.6], rtol=1e-6)


def test_evidence_against_is_blue_whichever_sign_is_shown():
    alone = evidence_colors(np.array([1.0]), "against")
    beside = evidence_colors(np.array([-1.0]), "both")
    np.testing.assert_array_equal(alone, beside)
    assert alone[0, 2] > alone[0, 0]
    warm = evidence_colors(np.array([1.0]), "both")
    assert warm[0, 0] > warm[0, 2]
