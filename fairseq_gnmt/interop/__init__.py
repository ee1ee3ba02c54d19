"""Conversion between checkpoints of NVIDIA's GNMT v2 and fairseq."""
