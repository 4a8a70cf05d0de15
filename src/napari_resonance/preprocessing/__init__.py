"""Scan to network input: recipes as data."""
