"""Alignments in fairseq's output format."""

from typing import Iterable, Sequence


def alignment_text(alignment: Iterable[Sequence], soft: bool) -> str:
    """Returns "source-target" for each pair of positions, or comma-separated weights of each target token if soft.

    Args:
        alignment: pairs of positions, or weights of each target token.
        soft: the alignment has weights.
    """
    return " ".join(",".join(row) if soft else "{}-{}".format(*row) for row in alignment)
