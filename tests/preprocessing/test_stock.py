"""Where MONAI has the same step, its transform gives the same numbers."""

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose
from support.phantoms import phantom

from napari_resonance.preprocessing import Recipe
from napari_resonance.preprocessing.monai import RecipeTransformd

STOCK = [
    [{"step": "orient", "code": "RAS"}],
    [{"step": "orient", "code": "LPI"}, {"step": "crop_or_pad", "shape": [20, 41, 9]}],
    [
        {"step": "orient", "code": "RAS"},
        {"step": "resample_spacing", "spacing": [2.0, None, 2.2], "antialias": False},
        {"step": "percentile", "low": 1.0, "high": 99.0},
    ],
    [{"step": "ct_window", "low": -100, "high": 900}],
    [{"step": "crop_or_pad", "shape": [None, 9, 40]}, {"step": "zscore"}],
    [{"step": "zscore", "nonzero": True}],
]


@pytest.mark.parametrize("name", ["oblique", "flipped", "straight"])
@pytest.mark.parametrize("steps", STOCK)
def test_stock_transforms_equal_the_recipe(name, steps):
    scan, _ = phantom(name)
    recipe = Recipe.from_json({"dimensions": 3, "steps": steps})
    configs = recipe.monai_transforms()
    transform = Compose([ConfigParser(c).get_parsed_content("") for c in configs])
    image = MetaTensor(torch.from_numpy(scan.values()[None]), affine=scan.affine.copy())
    theirs = transform({"image": image})["image"]
    ours = recipe.apply(scan)
    span = float(np.ptp(ours.array)) or 1.0
    assert theirs.shape == ours.array.shape[1:]
    np.testing.assert_allclose(theirs.numpy(), ours.array[0], atol=1e-3 * span)
    np.testing.assert_allclose(theirs.affine.numpy(), ours.grid.affine, atol=1e-4)


@pytest.mark.parametrize(
    "step",
    [
        {"step": "rank"},
        {"step": "head_crop", "shape": [9, 9, 9]},
        {"step": "resample_spacing", "spacing": [2, 2, 2]},
        {"step": "uint8_imagenet"},
    ],
)
def test_a_step_that_monai_does_not_have_keeps_the_recipe_whole(step):
    recipe = Recipe.from_json({"dimensions": 3, "steps": [step]})
    assert recipe.monai_transforms() is None


def test_the_recipe_is_one_monai_transform():
    scan, _ = phantom("oblique")
    data = {"dimensions": 3, "steps": [{"step": "rank"}]}
    result = RecipeTransformd("image", data)({"image": scan, "case": 3})
    expected = Recipe.from_json(data).apply(scan)
    np.testing.assert_array_equal(result["image"].numpy(), expected.array[0])
    np.testing.assert_allclose(result["image"].affine.numpy(), expected.grid.affine)
    assert result["case"] == 3
