"""The embedded model that tells MR sequences apart: how it was made."""
