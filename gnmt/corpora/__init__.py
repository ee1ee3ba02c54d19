"""Parallel text before it is tokenised: download, cleaning."""
