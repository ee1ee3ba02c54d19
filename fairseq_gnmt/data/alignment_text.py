"""Alignments as fairseq prints them."""

from typing import Iterable, Sequence


def alignment_text(alignment: Iterable[Sequence], soft: bool) -> str:
    """Returns "source-target" for each pair of positions; or, soft, the weights of each target token with commas."""
    return " ".join(",".join(row) if soft else "{}-{}".format(*row) for row in alignment)
