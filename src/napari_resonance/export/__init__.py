"""Results as files that others read."""
