"""BLEU with sacreBLEU's default settings and with the settings of NVIDIA's GNMT, always with a signature.

NVIDIA's published scores are lower-cased and tokenised with `intl` (`sacrebleu -lc --tokenize intl` in the inference
code of its GNMT). Only the second score is comparable with NVIDIA's scores.
"""

from typing import Sequence, Tuple

from sacrebleu.metrics import BLEU
from sacrebleu.metrics.bleu import BLEUScore

from gnmt.errors import UserError


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Tuple[BLEUScore, str]:
    """Returns BLEU (0 to 100) with sacreBLEU's defaults (cased, 13a), and its signature.

    Args:
        hypotheses: detokenised translations.
        references: one for each hypothesis.

    Raises:
        UserError: if the numbers of hypotheses and references differ, or there are none.
    """
    return _score(BLEU(), hypotheses, references)


def nvidia_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Tuple[BLEUScore, str]:
    """Returns lower-cased BLEU (0 to 100) with the `intl` tokenizer, as reported by NVIDIA, and its signature.

    Args:
        hypotheses: detokenised translations.
        references: one for each hypothesis.

    Raises:
        UserError: if the numbers of hypotheses and references differ, or there are none.
    """
    return _score(BLEU(lowercase=True, tokenize="intl"), hypotheses, references)


def _score(metric: BLEU, hypotheses: Sequence[str], references: Sequence[str]) -> Tuple[BLEUScore, str]:
    if len(hypotheses) != len(references):
        raise UserError(
            f"{len(hypotheses)} hypotheses for {len(references)} references, but BLEU needs one for each: "
            "translate and score the same file"
        )
    if not references:
        raise UserError("there are no sentences to score: BLEU needs at least one")
    score = metric.corpus_score(hypotheses, [references])
    return score, str(metric.get_signature())


def report(hypotheses: Sequence[str], references: Sequence[str]) -> str:
    """Returns two lines, for sacreBLEU's and NVIDIA's settings: score, n-gram precisions, lengths and signature.

    Args:
        hypotheses: detokenised translations.
        references: one for each hypothesis.
    """
    scores = (corpus_bleu(hypotheses, references), nvidia_bleu(hypotheses, references))
    return "\n".join(f"{score} {signature}" for score, signature in scores)
