"""Conversion from and to NVIDIA's checkpoints."""
