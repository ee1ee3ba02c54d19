"""Checkpoints as files: read as data, checked, and never executed."""
