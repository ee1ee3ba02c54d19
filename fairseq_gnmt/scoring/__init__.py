"""Translation metrics; importing the package registers `--scoring gnmt_bleu` with fairseq."""

from fairseq_gnmt.scoring import scorer

__all__ = ["scorer"]
