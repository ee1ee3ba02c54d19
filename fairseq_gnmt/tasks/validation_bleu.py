"""BLEU of the validation set during training (--eval-bleu)."""

import logging
from typing import Any, Dict, Iterable, List, Optional, Sequence

from fairseq.data import Dictionary
from fairseq.logging import metrics
from sacrebleu.metrics import BLEU
from torch import Tensor

from fairseq_gnmt.segmentation.encoders import join_tokens

logger = logging.getLogger(__name__)

BLEU_ORDER = 4
COUNTS = [f"_bleu_{part}_{n}" for part in ("counts", "totals") for n in range(BLEU_ORDER)]
LENGTHS = ["_bleu_sys_len", "_bleu_ref_len"]


class ValidationBLEU:
    """Statistics of BLEU from the same text as in fairseq-generate.

    Args:
        dictionary: dictionary of the target language.
        scheme: scheme that joins tokens, --eval-bleu-remove-bpe.
        tokenizer: tokenizer of fairseq with `decode`; None leaves the text as it is.
        is_tokenized: compare tokens, --eval-tokenized-bleu.
        print_samples: log a translation and a reference of each batch.
    """

    def __init__(
        self, dictionary: Dictionary, scheme: Optional[str], tokenizer: Any, is_tokenized: bool, print_samples: bool
    ):
        self._dictionary, self._scheme, self._tokenizer = dictionary, scheme, tokenizer
        self._print_samples = print_samples
        self._metric = BLEU(tokenize="none" if is_tokenized else BLEU.TOKENIZER_DEFAULT)
        self._metric.corpus_score([""], [[""]])  # the signature is available only after a score
        logger.info("validation BLEU: %s", self._metric.get_signature())

    def score(self, hypotheses: Sequence[List[Dict[str, Any]]], target: Tensor, ignored: Iterable[int]) -> Any:
        """Returns sacrebleu's score of a batch, with its counts.

        Args:
            hypotheses: n-best list of each sentence.
            target: (B, T), references.
            ignored: ids of tokens that are not part of the text.
        """
        translations = [self._text(nbest[0]["tokens"], False, ignored) for nbest in hypotheses]
        references = [self._text(row[row != self._dictionary.pad()], True, ignored) for row in target]
        if self._print_samples:
            logger.info("example hypothesis: %s", translations[0])
            logger.info("example reference: %s", references[0])
        return self._metric.corpus_score(translations, [references])

    def _text(self, tokens: Tensor, escape_unk: bool, ignored: Iterable[int]) -> str:
        words = self._dictionary.string(tokens.int().cpu(), None, escape_unk, ignored)
        text = join_tokens(words, self._scheme)
        return self._tokenizer.decode(text) if self._tokenizer else text


def log_bleu(logging_outputs: Sequence[Dict[str, Any]]) -> None:
    """Logs the BLEU of all batches, as plain numbers: torch does not load arrays in checkpoints."""
    if not any(LENGTHS[0] in log for log in logging_outputs):
        return
    names = COUNTS + LENGTHS
    for name in names:
        metrics.log_scalar(name, int(sum(log.get(name, 0) for log in logging_outputs)))

    def compute_bleu(meters) -> float:
        sums = [int(meters[name].sum) for name in names]
        score = BLEU.compute_bleu(sums[:BLEU_ORDER], sums[BLEU_ORDER:-2], *sums[-2:], smooth_method="exp")
        return round(score.score, 2)

    metrics.log_derived("bleu", compute_bleu)
