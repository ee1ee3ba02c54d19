"""BLEU, always with sacreBLEU's signature: its default and the convention of NVIDIA's GNMT.

NVIDIA's published numbers are lower-cased and tokenised with `intl` (`sacrebleu -lc --tokenize intl` in its
inference code), so they are comparable with the second score only.
"""

from typing import Sequence, Tuple

from sacrebleu.metrics import BLEU
from sacrebleu.metrics.bleu import BLEUScore

from gnmt.errors import UserError


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Tuple[BLEUScore, str]:
    """BLEU (0 to 100) of detokenised text with sacreBLEU's defaults (cased, 13a), and its signature.

    Raises UserError unless there is one hypothesis for each reference and at least one of them.
    """
    return _score(BLEU(), hypotheses, references)


def nvidia_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Tuple[BLEUScore, str]:
    """Returns BLEU as NVIDIA reports it: lower-cased, with the `intl` tokenizer; otherwise like `corpus_bleu`."""
    return _score(BLEU(lowercase=True, tokenize="intl"), hypotheses, references)


def _score(metric: BLEU, hypotheses: Sequence[str], references: Sequence[str]) -> Tuple[BLEUScore, str]:
    if len(hypotheses) != len(references):
        raise UserError(
            f"{len(hypotheses)} hypotheses for {len(references)} references, but BLEU wants one for each: "
            "translate and score the same file"
        )
    if not references:
        raise UserError("there are no sentences to score: BLEU wants at least one")
    score = metric.corpus_score(hypotheses, [references])
    return score, str(metric.get_signature())


def report(hypotheses: Sequence[str], references: Sequence[str]) -> str:
    """Two lines, sacreBLEU's default and NVIDIA's convention: score, n-gram precisions, lengths, signature."""
    both = (corpus_bleu(hypotheses, references), nvidia_bleu(hypotheses, references))
    return "\n".join(f"{score} {signature}" for score, signature in both)
