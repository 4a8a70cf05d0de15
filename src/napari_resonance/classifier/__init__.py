"""Network, recipe, labels and calibration: from a scan to a prediction."""
