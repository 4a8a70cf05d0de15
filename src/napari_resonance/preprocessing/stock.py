"""Which steps are the same as a stock MONAI transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_Arguments = Mapping[str, Any]


def stock_transform(name: str, arguments: _Arguments) -> dict[str, Any] | None:
    """Return the MONAI dictionary transform that equals a step, or None.

    Parameters
    ----------
    name, arguments
        A step of a recipe.

    Returns
    -------
    dict or None
        A literal configuration with ``_target_`` that acts on the key ``image``.

    """
    if name not in _STOCK:
        return None
    target, settings = _STOCK[name](arguments)
    return {"_target_": target, "keys": "image", **settings} if target else None


_Stock = tuple[str | None, dict[str, Any]]


def _orient(arguments: _Arguments) -> _Stock:
    labels = [["L", "R"], ["P", "A"], ["I", "S"]]
    return "Orientationd", {"axcodes": arguments["code"], "labels": labels}


def _spacing(arguments: _Arguments) -> _Stock:
    if arguments.get("antialias", True):
        return None, {}  # MONAI's Spacing has no anti-aliasing.
    # MONAI keeps an axis whose spacing is not positive.
    spacing = [-1.0 if s is None else float(s) for s in arguments["spacing"]]
    return "Spacingd", {
        "pixdim": spacing,
        "mode": "bilinear",
        "padding_mode": "border",
    }


def _crop_or_pad(arguments: _Arguments) -> _Stock:
    shape = [-1 if n is None else int(n) for n in arguments["shape"]]
    value = float(arguments.get("value", 0.0))
    return "ResizeWithPadOrCropd", {"spatial_size": shape, "constant_values": value}


def _ct_window(arguments: _Arguments) -> _Stock:
    return "ScaleIntensityRanged", {
        "a_min": float(arguments["low"]),
        "a_max": float(arguments["high"]),
        "b_min": 0.0,
        "b_max": 1.0,
        "clip": True,
    }


def _percentile(arguments: _Arguments) -> _Stock:
    return "ScaleIntensityRangePercentilesd", {
        "lower": float(arguments.get("low", 0.5)),
        "upper": float(arguments.get("high", 99.5)),
        "b_min": 0.0,
        "b_max": 1.0,
        "clip": True,
    }


def _zscore(arguments: _Arguments) -> _Stock:
    return "NormalizeIntensityd", {"nonzero": bool(arguments.get("nonzero", False))}


_STOCK: dict[str, Callable[[_Arguments], _Stock]] = {
    "orient": _orient,
    "resample_spacing": _spacing,
    "crop_or_pad": _crop_or_pad,
    "ct_window": _ct_window,
    "percentile": _percentile,
    "zscore": _zscore,
}
