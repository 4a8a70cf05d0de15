"""MONAI bundles that were not made here: their network and weights, if literal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_resonance.classifier.bundle_checks import read_json
from napari_resonance.classifier.definition import DEPTHS, TARGET, resnet_definition
from napari_resonance.errors import ModelError

_CONFIGS = ("configs/inference.json", "configs/train.json")
_WEIGHTS = ("model.safetensors", "model.pt", "model.pth", "model.ckpt")
_NETWORKS = ("network_def", "network", "net")

_RESNET = re.compile(r"(?:monai\.networks\.nets\.(?:resnet\.)?)?(ResNet|resnet(\d+))")
# Arguments of MONAI's functions that say where weights come from, not what they are.
_NOT_THE_NETWORK = ("pretrained", "progress")
_BY_HAND = "Give the network's definition as JSON, with --network FILE"
_DEEPEST = 20  # references that lead to references


@dataclass(frozen=True)
class ForeignBundle:
    """What a bundle from elsewhere says of its network.

    Parameters
    ----------
    definition
        Literal ``network_def`` in our form.
    weights
        File of its weights.
    labels
        What its outputs mean, empty where it does not say.

    """

    definition: dict[str, Any]
    weights: Path
    labels: tuple[str, ...]


def is_bundle(folder: Path) -> bool:
    """Tell whether a folder is laid out as a MONAI bundle."""
    return (folder / "configs").is_dir() or (folder / "models").is_dir()


def read_foreign(folder: Path, *, with_network: bool = True) -> ForeignBundle:
    """Read network and weights of a MONAI bundle; nothing is evaluated.

    Parameters
    ----------
    folder
        Of the bundle.
    with_network
        False where the definition is known from elsewhere: it is left empty.

    Raises
    ------
    ModelError
        If it was made here, a file is missing, the network is none of MONAI's ResNets,
        or an argument of it is an expression.

    """
    metadata = _optional_json(folder / "configs" / "metadata.json")
    if "resonance" in metadata:
        raise ModelError(
            "this is a model of this package already",
            source=folder,
            remedy=f"Use it: resonance classify SCAN --model {folder}",
        )
    definition = _network(folder) if with_network else {}
    return ForeignBundle(definition, _weights(folder), _labels(metadata))


def _optional_json(path: Path) -> dict[str, Any]:
    return read_json(path, _BY_HAND) if path.is_file() else {}


def _network(folder: Path) -> dict[str, Any]:
    for name in _CONFIGS:
        path = folder / name
        if path.is_file():
            return network_of_config(read_json(path, _BY_HAND), path)
    others = sorted(p.name for p in (folder / "configs").glob("*.y*ml"))
    if others:
        raise ModelError(
            f"the bundle's configuration is YAML ({', '.join(others)}), JSON is read",
            source=folder,
            remedy=_BY_HAND,
        )
    raise ModelError(
        "the bundle has no configs/inference.json",
        source=folder,
        remedy=_BY_HAND,
    )


def network_of_config(config: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """Return the literal definition of the network in a MONAI configuration.

    Parameters
    ----------
    config
        A parsed configuration, or a definition alone.
    source
        Named in errors.

    Raises
    ------
    ModelError
        If there is none, it is no ResNet, or an argument is an expression.

    """
    found = next((config[name] for name in _NETWORKS if name in config), config)
    found = _followed(found, config, source, "the network")
    if not isinstance(found, Mapping) or "_target_" not in found:
        raise ModelError(
            "the configuration defines no network ('network_def' with a '_target_')",
            source=source,
            remedy=_BY_HAND,
        )
    settings = {
        key: _argument(value, config, source, f"the network's {key!r}")
        for key, value in found.items()
        if key not in ("_target_", *_NOT_THE_NETWORK) and not key.startswith("_")
    }
    return _known(found["_target_"], settings, source)


def _known(target: object, settings: dict[str, Any], source: Path) -> dict[str, Any]:
    if target == TARGET:
        return {"_target_": TARGET, **settings}
    match = _RESNET.fullmatch(target) if isinstance(target, str) else None
    if match is None or (match[2] and int(match[2]) not in DEPTHS):
        raise ModelError(
            f"the bundle's network is {target!r}, and only ResNets are known here",
            source=source,
            remedy="MONAI's ResNet and resnet10 to resnet200 can be taken over",
        )
    if not match[2]:
        return {"_target_": TARGET, **settings}
    # What a function does not say, MONAI's ResNet has these defaults for.
    usual = {"spatial_dims": 3, "num_classes": 400, "n_input_channels": 3}
    full = usual | settings
    base = resnet_definition(
        int(match[2]),
        dimensions=full.pop("spatial_dims"),
        n_labels=full.pop("num_classes"),
        in_channels=full.pop("n_input_channels"),
    )
    return base | full


def _argument(value: object, config: Mapping[str, Any], source: Path, what: str) -> Any:
    """Return an argument of the network, the references in it followed."""
    found = _followed(value, config, source, what)
    if isinstance(found, Mapping):
        return {k: _argument(v, config, source, what) for k, v in found.items()}
    if isinstance(found, list):
        return [_argument(v, config, source, what) for v in found]
    return found


def _followed(
    value: object, config: Mapping[str, Any], source: Path, what: str, depth: int = 0
) -> Any:
    """Return a literal value, references to literals followed."""
    if isinstance(value, list):
        return [_followed(v, config, source, what, depth) for v in value]
    if not isinstance(value, str) or not value.startswith(("@", "$", "%")):
        return value
    if value.startswith("@") and depth < _DEEPEST:
        found: Any = config
        for part in re.split(r"#|::", value[1:]):
            key: Any = int(part) if isinstance(found, list) and part.isdigit() else part
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                found = None
                break
        if found is not None:
            return _followed(found, config, source, what, depth + 1)
    text = json.dumps(value[:80])
    raise ModelError(
        f"{what} is an expression, {text}, and expressions are never evaluated",
        source=source,
        remedy="Write the values themselves into a JSON file, and give it with "
        "--network FILE",
    )


def _weights(folder: Path) -> Path:
    for name in _WEIGHTS:
        path = folder / "models" / name
        if path.is_file():
            return path
    scripted = (folder / "models" / "model.ts").is_file()
    what = " (model.ts is a program, not weights)" if scripted else ""
    raise ModelError(
        f"the bundle has no weights: none of {', '.join(_WEIGHTS)} in models{what}",
        source=folder,
        remedy="Give the file of the weights, with --network FILE for the network",
    )


def _labels(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the outputs where the metadata tell them."""
    try:
        outputs = metadata["network_data_format"]["outputs"]["pred"]
        names = outputs["channel_def"]
        found = tuple(names[str(n)] for n in range(len(names)))
    except (KeyError, TypeError, AttributeError):
        return ()
    return found if all(isinstance(n, str) and n for n in found) else ()
