"""Labelled scans to a new classifier."""
