"""Scan to network input: recipes as data."""

from napari_resonance.preprocessing.recipe import NetworkInput, Recipe

__all__ = ["NetworkInput", "Recipe"]
