"""Scores of translations; importing this registers `--scoring gnmt_bleu` with fairseq."""

from fairseq_gnmt.scoring import scorer

__all__ = ["scorer"]
