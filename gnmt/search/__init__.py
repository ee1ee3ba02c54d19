"""Beam search and its scores: the tokens that each step chooses, on top of gnmt.inference."""
