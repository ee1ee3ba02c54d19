"""Segmentations for fairseq's commands; importing the package registers `--bpe words` and `--bpe mixed_word_char`."""

from fairseq_gnmt.segmentation import encoders

__all__ = ["encoders"]
