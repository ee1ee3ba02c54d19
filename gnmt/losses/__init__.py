"""Losses fused with the output projection."""
