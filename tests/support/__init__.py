"""What several test modules share: phantoms, writers, the display check."""
