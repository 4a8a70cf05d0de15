"""Augmented batches: repeatable, balanced, and still heads."""

import numpy as np
import pytest
import torch

from napari_resonance.preprocessing.intensity import foreground_ranks
from napari_resonance.training.mr_sequence.augment import HeadAugmentation
from napari_resonance.training.mr_sequence.batches import (
    BatchSettings,
    HeadBatches,
    batch_ranks,
)
from napari_resonance.training.mr_sequence.synthesis import OTHERS, SEQUENCES, compose

SETTINGS = BatchSettings(size=6, others=2)
STILL = HeadAugmentation(*[0.0] * 6, 1.0, *[0.0] * 5)


def test_a_batch_is_repeatable_and_the_next_is_another(heads):
    batches = HeadBatches(heads, SETTINGS, steps=2, seed=3)
    one, again = (
        batches[0],
        HeadBatches(heads, SETTINGS, steps=2, seed=3)[0],
    )
    torch.testing.assert_close(one[0], again[0], rtol=0, atol=0)
    assert not torch.equal(one[0], batches[1][0])
    assert not torch.equal(one[0], HeadBatches(heads, SETTINGS, steps=2, seed=4)[0][0])


def test_a_batch_is_balanced_and_ends_with_undecided_heads(heads):
    images, odds = HeadBatches(heads, SETTINGS, steps=1, seed=0)[0]
    assert images.shape == (8, 1, *heads.shape)
    assert torch.isfinite(images).all()
    assert images.min() >= 0
    assert images.max() <= 1
    assert odds[:6].argmax(dim=1).bincount().tolist() == [2, 2, 2]
    torch.testing.assert_close(odds.sum(dim=1), torch.ones(8))
    torch.testing.assert_close(odds[6:], torch.full((2, 3), 1 / 3))


def test_without_registered_visits_there_are_no_undecided_heads(heads):
    single = heads.only(["a"])
    bare = type(single)(**{**vars(single), "visits": ()})
    assert len(HeadBatches(bare, SETTINGS, steps=1, seed=0)[0][0]) == 6


def test_an_augmentation_of_no_strength_keeps_the_box(heads):
    boxes = torch.from_numpy(heads.boxes)
    depth = torch.from_numpy(heads.depth)
    random = torch.Generator().manual_seed(0)
    changed = STILL(boxes, depth, heads.shape, random).numpy()
    # The contrast curve scales to the brightest voxel.
    kept = heads.centers / heads.centers.max(axis=(1, 2, 3), keepdims=True)
    straight = np.abs(changed - kept).mean(axis=(1, 2, 3))
    mirrored = np.abs(changed - kept[:, ::-1]).mean(axis=(1, 2, 3))
    # What is left is the mirror image, which is as likely as the image.
    assert np.minimum(straight, mirrored).max() < 0.02
    assert (mirrored < straight).any()


@pytest.mark.parametrize("name", [*SEQUENCES, *OTHERS])
def test_a_composed_contrast_orders_the_tissues_as_it_says(heads, name):
    visit = heads.visits[0]
    contrast = (SEQUENCES | OTHERS)[name]
    image, depth = compose(visit, contrast, torch.Generator().manual_seed(0))
    assert image.shape == depth.shape
    values = image.numpy()
    white, grey, fluid = (values[s > 0.99].mean() for s in visit.tissues)
    if contrast.grey[0] > contrast.white[1]:
        assert grey > white
    if contrast.fluid[0] > contrast.grey[1]:
        assert fluid > grey
    if contrast.fluid[1] < contrast.white[0]:
        assert fluid < white


def test_batch_ranks_are_the_recipes_ranks(heads):
    boxes = torch.from_numpy(heads.centers)
    random = torch.Generator().manual_seed(5)
    ranks = batch_ranks(boxes, random).numpy()
    thresholds = 0.04 + 0.11 * torch.rand(
        len(boxes), generator=torch.Generator().manual_seed(5)
    )
    for ours, box, threshold in zip(ranks, heads.centers, thresholds, strict=True):
        exact = foreground_ranks(box, float(threshold))
        both = (ours > 0) & (exact > 0)
        assert both.sum() > 0.98 * (exact > 0).sum()
        assert np.abs(ours - exact)[both].max() < 0.02
