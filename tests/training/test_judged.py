"""Limits of what is usual, from few training cases and from many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.trainings import tiny_samples

from napari_resonance.classifier.distribution import measure
from napari_resonance.training.judged import statistics_of
from napari_resonance.training.samples import Samples

SHAPE = (12, 12, 12)


def _drawn(n: int, seed: int, level: float = 0.0) -> Samples:
    """Return cases of three scans, each patient with contrast and noise of its own."""
    random = np.random.default_rng(seed)
    place = np.indices(SHAPE).sum(axis=0) / 36
    inputs = np.zeros((n, 3, *SHAPE), np.float32)
    for case in inputs:
        for channel in case:
            own = random.normal(0.5 + level, 0.1), random.lognormal(-3, 0.3)
            channel[:] = own[0] + 0.2 * place + own[1] * random.normal(size=SHAPE)
    patients = np.array([f"p{k}" for k in range(n)])
    return replace(tiny_samples(0, n), inputs=inputs, patients=patients)


def _outside(samples: Samples, of: Samples) -> float:
    """Return the share of cases that lie beyond the limits that others gave."""
    features = np.random.default_rng(0).normal(size=(len(of), 4))
    limits = statistics_of(features, of, features[:0])
    beyond = [
        bool(((values < limits.lowest) | (values > limits.highest)).any())
        for values in (measure(case[None]) for case in samples.inputs)
    ]
    return float(np.mean(beyond))


@pytest.mark.parametrize("n_patients", [4, 6, 8, 20, 80])
def test_later_scans_of_the_kind_are_seldom_strange(n_patients):
    later = _drawn(60, seed=1)
    shares = [_outside(later, _drawn(n_patients, seed=s)) for s in range(2, 12)]
    assert np.mean(shares) < 0.04


def test_scans_of_another_kind_are_strange_where_many_were_seen():
    assert _outside(_drawn(30, seed=1, level=1.5), _drawn(80, seed=2)) == 1
