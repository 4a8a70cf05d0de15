"""The two JSON files of a bundle: what MONAI runs, and what the model is.

Both are literal. MONAI evaluates text that begins with ``$``, follows text that begins
with ``@`` or ``%`` and calls whatever ``_target_`` names, so all four have to be known
to be ours before a file is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from napari_resonance.classifier.calibration import Calibration
from napari_resonance.classifier.card import ModelCard
from napari_resonance.classifier.summary import input_size
from napari_resonance.errors import ModelError
from napari_resonance.preprocessing import Recipe

FORMAT = 1
"""Version of the layout of a bundle folder and of its ``resonance`` entry."""

WEIGHTS = "models/model.safetensors"
STATISTICS = "models/statistics.safetensors"
CONVERTED = "models/openvino"

_OWN_READER = "napari_resonance.reading.monai.ReadScand"
_OWN_TRANSFORM = "napari_resonance.preprocessing.monai.RecipeTransformd"


def inference_config(
    network_def: Mapping[str, Any], recipe: Recipe, calibration: Calibration
) -> dict[str, Any]:
    """Return ``inference.json``: the classifier as a MONAI workflow.

    ``python -m monai.bundle run --config_file B/configs/inference.json --weights_file
    B/models/model.safetensors --scan F`` writes ``predictions.csv`` into ``eval`` (or
    ``--output_dir``): the scan, then one calibrated probability for each label. A
    recipe of several channels takes a list of files as ``--scan``, one with a box the
    place as ``--center_mm``.
    """
    flat = recipe.dimensions == 2
    inputs, item = _inputs(recipe)
    return {
        "bundle_root": ".",
        "dataset_dir": ".",
        "output_dir": "eval",
        "weights_file": WEIGHTS,
        **inputs,
        "device": {"_target_": "torch.device", "type": "cpu"},
        "network_def": dict(network_def),
        "preprocessing": {
            "_target_": "Compose",
            "transforms": _preprocessing(recipe),
        },
        "dataset": {
            "_target_": "Dataset",
            "data": [item],
            "transform": "@preprocessing",
        },
        "dataloader": _dataloader(flat),
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": _postprocessing(flat, calibration.temperature),
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "decollate": not flat,
        },
        "initialize": [
            {
                "_target_": "torch.nn.Module.load_state_dict",
                "self": "@network_def",
                "state_dict": {
                    "_target_": "safetensors.torch.load_file",
                    "filename": "@weights_file",
                },
            }
        ],
        "run": [
            {
                "_target_": "monai.engines.SupervisedEvaluator.run",
                "self": "@evaluator",
            }
        ],
    }


def _inputs(recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what can be given on the command line, and the item made of it."""
    inputs: dict[str, Any] = {"scan": "scan.nii.gz"}
    first = "@scan"
    if recipe.channels:
        inputs["scan"] = [f"{name}.nii.gz" for name in recipe.channels]
        first = "@scan#0"
    item: dict[str, Any] = {"image": "@scan", "source": {"filename_or_obj": first}}
    if recipe.box is not None:
        # RAS+ mm. Without one, recipes that have a default take that.
        inputs["center_mm"], item["center_mm"] = None, "@center_mm"
    return inputs, item


def _preprocessing(recipe: Recipe) -> list[dict[str, Any]]:
    """Return stock transforms where all steps have one, else the recipe as one."""
    stock = recipe.monai_transforms()
    if stock is None:
        prepare = {"_target_": _OWN_TRANSFORM, "recipe": recipe.to_json()}
        if recipe.box is not None:
            prepare["center_key"] = "center_mm"
        return [
            {"_target_": _OWN_READER, "keys": "image"},
            {**prepare, "keys": "image"},
        ]
    load = {"_target_": "LoadImaged", "keys": "image"}
    channel = {"_target_": "EnsureChannelFirstd", "keys": "image"}
    return [load, channel, *stock]


def _dataloader(flat: bool) -> dict[str, Any]:
    config = {"_target_": "DataLoader", "dataset": "@dataset", "num_workers": 0}
    if not flat:
        return {**config, "batch_size": 1}
    # A 2D recipe returns all slices of a scan, which are a batch already.
    collate = {"_target_": "torch.utils.data.default_convert", "_mode_": "callable"}
    return {**config, "batch_size": None, "collate_fn": collate}


def _postprocessing(flat: bool, temperature: float) -> list[dict[str, Any]]:
    mean_of_slices = [{"_target_": "MeanEnsembled", "keys": "pred"}] if flat else []
    return [
        *mean_of_slices,
        {
            # Divides by the temperature: MONAI multiplies by 1 + factor.
            "_target_": "ScaleIntensityd",
            "keys": "pred",
            "minv": None,
            "maxv": None,
            "factor": 1 / temperature - 1,
        },
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {
            "_target_": "SaveClassificationd",
            "keys": "pred",
            "meta_keys": "source",
            "output_dir": "@output_dir",
            "filename": "predictions.csv",
        },
    ]


def metadata(
    card: ModelCard,
    network_def: Mapping[str, Any],
    recipe: Recipe,
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``metadata.json``: MONAI's entries, and ours under ``resonance``.

    Parameters
    ----------
    card, network_def, recipe
        What the bundle holds.
    own
        Further entries of ``resonance`` (calibration, sha256 of the weights, ...).

    """
    return {
        "version": card.version,
        "changelog": {card.version: "written by napari-resonance"},
        "monai_version": _installed("monai"),
        "pytorch_version": _installed("torch"),
        "numpy_version": _installed("numpy"),
        "required_packages_version": {
            name: _installed(name)
            for name in ("napari-resonance", "pytorch-ignite", "fire", "safetensors")
            if _installed(name)
        },
        "supported_apps": {},
        "name": card.name,
        "task": card.task,
        "description": card.task,
        "authors": "see docs/README.md",
        "copyright": "see LICENSE",
        "license": card.licence,
        "data_source": card.training_data,
        "intended_use": card.intended_use,
        "references": list(card.attributions),
        "network_data_format": _data_format(card, network_def, recipe),
        "resonance": {
            "format": FORMAT,
            "card": card.to_json(),
            "recipe": recipe.to_json(),
            **own,
        },
    }


def _data_format(
    card: ModelCard, network_def: Mapping[str, Any], recipe: Recipe
) -> dict[str, Any]:
    channels = int(network_def.get("n_input_channels", 3))
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": " or ".join(card.modality) or "any",
        "num_channels": channels,
        "spatial_shape": input_size(recipe),
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": dict(
            zip(map(str, range(channels)), channel_names(channels, recipe), strict=True)
        ),
    }
    prediction = {
        "type": "probabilities",
        "format": "classes",
        "num_channels": len(card.labels),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(n): label for n, label in enumerate(card.labels)},
    }
    return {"inputs": {"image": image}, "outputs": {"pred": prediction}}


def channel_names(n_channels: int, recipe: Recipe) -> tuple[str, ...]:
    """Return what the input channels of a network are called: scans, colours."""
    each = max(1, n_channels // recipe.n_scans)
    parts = ("red", "green", "blue") if recipe.color else ("",) * each
    scans = recipe.channels or (("",) if recipe.color else ("image",))
    return tuple(f"{scan} {part}".strip() for scan in scans for part in parts)


def _installed(package: str) -> str:
    try:
        return version(package).split("+")[0]
    except PackageNotFoundError:
        return ""


def check_literal(config: object, *, references: bool = False) -> None:
    """Refuse what MONAI would evaluate, anywhere in a parsed JSON document.

    Parameters
    ----------
    config
        The document.
    references
        Let ``@name`` and ``_target_`` pass, as ``inference.json`` needs them.

    Raises
    ------
    ModelError
        Naming the text that is refused.

    """
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key == "_target_" and not references:
                raise ModelError("the model's metadata names something to be called")
            check_literal(key)
            check_literal(value, references=references)
    elif isinstance(config, list):
        for value in config:
            check_literal(value, references=references)
    elif isinstance(config, str):
        begins = () if references else ("@", "%")
        if "$" in config or config.startswith(("%", *begins)):
            raise ModelError(
                f"the model's configuration holds an expression: {config[:60]!r}",
                remedy="Expressions are never evaluated; write the value itself",
            )
