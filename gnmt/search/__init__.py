"""Beam search, sampling and their scores, on top of gnmt.inference."""
