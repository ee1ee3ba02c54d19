"""Scores of translations; importing this registers `--scoring gnmt_bleu` with fairseq."""
from fairseq_gnmt.scoring import bleu

__all__ = ["bleu"]
